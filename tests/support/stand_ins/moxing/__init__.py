"""A stand-in for MoXing, Huawei's library for the storage of ModelArts, which is on no public registry.

It has the calls that hlg.cloud.storage uses, with the names and arguments of MoXing's documentation, and no others. A
bucket is a folder in $STAND_IN_BUCKETS; each call is a line of ``calls.jsonl`` there. A call that matches the regular
expression $STAND_IN_FAILS fails.
"""

from moxing import file

__all__ = ["file"]
