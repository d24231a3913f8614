"""The configuration: what is read, from where, and the one clear error for everything else."""

import os
from dataclasses import asdict, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hlg import eval as evaluate
from hlg import export, predict
from hlg.config import KEYS, Affects, Config, dump, help_text, keys_that_affect, load
from hlg.errors import UserError
from tests.support import ROOT
from tests.support.programs import Call

PUBLISHED = ROOT / "tests/hlg/fixtures/published"
RECIPES = ROOT / "configs"


@pytest.fixture(autouse=True)
def data_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_PATH", "/data")
    monkeypatch.delenv("UNSET", raising=False)


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    """Write a config file and return the arguments that name it."""

    def write(text: str | bytes) -> list[str]:
        file = tmp_path / "recipe.yml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return ["--config_path", str(file)]

    return write


def config_of(file: Path) -> Config:
    return load(["--config_path", str(file)])[0]


def differing(one: Config, other: Config) -> set[str]:
    """The keys that have different values."""
    return {name for name in KEYS if getattr(one, name) != getattr(other, name)}


def error_of(argv: list[str], need: tuple[str, ...] = ()) -> str:
    """The message of the error, which must be one line."""
    with pytest.raises(UserError) as caught:
        load(argv, need)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["hlg_config", "hlg_cloud", "hlg_eval", "hlg_export"])
def test_a_published_file_loads_unchanged_with_the_types_of_the_keys(name: str) -> None:
    file = PUBLISHED / f"{name}.yml"
    config, stem = load(["--config_path", str(file)])
    assert stem == name
    assert all(type(value) is KEYS[key].type for key, value in asdict(config).items())
    for key, published in yaml.safe_load(file.read_text()).items():
        value = getattr(config, key)
        expected = str(published or "").replace("$DATA_PATH", "/data") if isinstance(value, str) else published
        assert value == (float(expected) if isinstance(value, float) else expected), key


def test_defaults_are_the_published_gpu_recipe_except_where_the_help_says_so() -> None:
    ours = differing(Config(), config_of(PUBLISHED / "hlg_config.yml"))
    assert ours == {"dataset_path", "eval_path", "save_checkpoint_path", "device_target", "amp_level"}
    assert all("(published: " in KEYS[name].metadata["help"] for name in ours)


def test_our_recipes_train_as_the_published_one_which_names_a_bucket() -> None:
    published = config_of(PUBLISHED / "hlg_cloud.yml")
    assert differing(config_of(RECIPES / "hlg_cloud.yml"), published) == {"data_url", "train_url"}
    assert differing(config_of(RECIPES / "hlg_mobile.yml"), published) == {
        "enable_modelarts", "data_url", "train_url", "dataset_path", "eval_path", "save_checkpoint_path",
    }  # fmt: skip


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yml")), ids=lambda file: file.stem)
def test_every_recipe_loads_and_opens_with_its_command_result_duration_and_source(file: Path) -> None:
    config_of(file)
    opening = file.read_text().split("\n\n")[0]
    assert f"--config_path configs/{file.name}" in opening
    assert all(f"#   {part} " in opening for part in ("command", "expected", "duration", "source"))


def test_every_key_has_a_type_and_a_help_and_every_number_a_unit() -> None:
    for spec in fields(Config):
        assert spec.type in (bool, int, float, str), spec.name
        assert type(spec.default) is spec.type, spec.name
        assert spec.metadata["help"], spec.name
        assert bool(spec.metadata["unit"]) == (spec.type in (int, float)), spec.name


def test_no_key_of_the_recipe_is_said_to_change_less_than_it_does() -> None:
    graphs, numbers = keys_that_affect(Affects.GRAPHS), keys_that_affect(Affects.NUMBERS)
    assert graphs >= {"batch_size", "train_image_size", "class_num", "amp_level", "weight_decay", "beta2", "loss_scale"}
    assert graphs | numbers >= {"seed", "lr_max", "max_epoch", "mixup", "crop_min", "on_unreadable"}


def test_help_lists_every_key_with_unit_limits_default_and_meaning(call: Call) -> None:
    text = call(load, "--batch_size", "64", "--help").out
    assert text.strip() == help_text()
    assert "--batch_size [images]  a whole number >= 1, <= 65536; default 128\n" in text
    assert "--amp_level  O0 | O2 | O3; default O0\n" in text
    assert "--gc_flag  0 or 1; default 0\n" in text
    assert all(f"--{spec.name}" in text and spec.metadata["help"] in text for spec in fields(Config))


@pytest.mark.parametrize(
    ("interval", "offset", "epochs", "evaluated"),
    [(1, -1, 3, [0, 1, 2]), (2, -1, 5, [0, 2, 4]), (4, -1, 10, [1, 5, 9]), (4, 0, 10, [3, 7]), (4, 1, 10, [0, 4, 8])],
)
def test_evaluations_fall_on_published_epochs(interval: int, offset: int, epochs: int, evaluated: list[int]) -> None:
    config = Config(eval_interval=interval, eval_offset=offset, max_epoch=epochs)
    assert [epoch for epoch in range(epochs) if config.evaluates(epoch)] == evaluated


def test_what_is_derived_from_keys_follows_them() -> None:
    assert Config(label_smooth_factor=0.3).smoothing == 0.3
    assert Config(label_smooth_factor=0.3, use_label_smooth=False).smoothing == 0
    assert Config().no_weight_decay_names == ("beta", "bias")
    assert Config(no_weight_decay_filter=" gamma, beta,").no_weight_decay_names == ("gamma", "beta")
    assert Config(no_weight_decay_filter="").no_weight_decay_names == ()


def test_the_command_line_overrides_the_file_and_the_file_the_default(recipe: Any) -> None:
    assert load([]) == (Config(), "default")
    argv = recipe("batch_size: 16\nmax_epoch: 40\neval_path: $UNSET/val")
    options = ["--batch_size", "64", "--lr_max=2e-3", "--eval_offset", "-1", "--seed=1", "--seed=2", "--eval_path=/val"]
    options += [f"--data_url={(url := 's3://bucket:80/a@b:c')}"]
    expected = Config(batch_size=64, max_epoch=40, lr_max=2e-3, seed=2, eval_path="/val", data_url=url)
    assert load([*argv, *options]) == (expected, "recipe")


SECRET = "a name, password or signature, which log and records would keep; allowed: one without, whose storage "
SECRET += "knows this machine by other means"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--batch", "64"], "--batch: unknown key 'batch'; closest known key: 'batch_size' (--help lists all)"),
        (["--batch_size"], "--batch_size: found no value; allowed: --batch_size VALUE or --batch_size=VALUE"),
        (["--seed", "--gc_flag", "1"], "--seed: found no value; allowed: --seed VALUE or --seed=VALUE"),
        (["--seed", "1", "64"], "64: follows no key; allowed: --key value, and images before all keys"),
        (["--data_url=s3://me@bucket/x"], f"--data_url: found a URL with {SECRET}"),
        (["--train_url", "s3://me:1a/b@bucket"], f"--train_url: found a URL with {SECRET}"),
        (["--checkpoint_url=obs://bucket/x?sign=1"], f"--checkpoint_url: found a URL with {SECRET}"),
        ([""], ": follows no key; allowed: --key value, and images before all keys"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_error(argv: list[str], message: str) -> None:
    assert error_of(argv) == message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": found nothing; allowed: lines of `key: value`"),
        ("- batch_size", ": found a list; allowed: lines of `key: value`"),
        ("batch_size 64", ": found text; allowed: lines of `key: value`"),
        ("# a comment\nbatch_size: 0", ":2: batch_size: found '0'; allowed: a whole number >= 1"),
        ("seed: 1\nbatch_size: [64]", ":2: batch_size: found a list; allowed: a whole number >= 1"),
        ("pretrained: {a: b}", ":1: pretrained: found a mapping; allowed: a file"),
        ("seed: 1\n\nBatchSize: 64", ":3: unknown key 'BatchSize'; closest known key: 'batch_size' (--help lists all)"),
        ("~: 1", ":1: unknown key '~'"),
        ("seed: 1\nmixup: 0\nseed: 2", ":3: seed: found a second time, after line 1; allowed: once"),
        ("pretrained: 'a", ":1: this is not YAML in UTF-8: found unexpected end of stream"),
        ("seed: " + "[" * 5000, ": found more than 100 brackets"),
        ("# a\n" * 40_000, ": this config file cannot be read: more than 131,072 bytes"),
        ("seed: " + "9" * 4000, f":1: seed: found '{'9' * 80}' and 3,920 more characters; allowed"),
        ("seed: 1\n---\nseed: 2", ":2: this is not YAML in UTF-8: but found another document"),
        (b"seed: 1 # \xe9", ": this is not YAML in UTF-8: 'utf-8' codec can't decode byte 0xe9"),
        ("seed: \x00", ": this is not YAML in UTF-8: unacceptable character #x0000"),
        (r'pretrained: "\UFFFFFFFF"', ": this is not YAML in UTF-8: "),
        ("eval_path: $UNSET/a", ":1: eval_path: found '$UNSET/a', but $UNSET is not set; name a folder: --eval_path="),
    ],
)
def test_a_mistake_in_a_file_is_one_clear_error(recipe: Any, text: str, problem: str) -> None:
    assert f"recipe.yml{problem}" in error_of(recipe(text))


def test_a_path_that_a_program_does_not_read_may_name_a_variable_that_is_not_set(recipe: Any) -> None:
    options = recipe("dataset_path: $UNSET/train")
    assert load(options, unread=("dataset_path",))[0].dataset_path == "$UNSET/train"
    assert "dataset_path" in error_of(options)


@pytest.mark.parametrize("program", [evaluate, export, predict])
def test_programs_that_train_nothing_ask_for_no_training_images(program: ModuleType, recipe: Any, call: Call) -> None:
    options = [*recipe("dataset_path: $UNSET/train"), "--eval_path", "/nowhere"]
    assert "UNSET" not in call(program.main, *["cat.jpg"] * (program is predict), *options, code=2).err


def test_a_config_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "recipe.yml", "No such file or directory"), (tmp_path, "Is a directory")):
        assert error_of(["--config_path", str(path)]) == f"{path}: this config file cannot be read: {why}"


def test_a_run_that_is_resumed_brings_its_own_config_file(tmp_path: Path) -> None:
    assert error_of([f"--resume={tmp_path}"]).endswith("allowed: a run's folder, or a checkpoint in one")
    (tmp_path / "config.yml").write_bytes(b"\xef\xbb\xbfseed: 7\n")  # a byte order mark
    other = tmp_path / "other.yml"
    other.write_text("seed: 8\n")
    assert load([f"--resume={tmp_path}"])[0].seed == 7
    assert load([f"--resume={tmp_path}/checkpoints/last.ckpt", "--max_epoch=90"])[0].seed == 7
    assert load([f"--config_path={other}", f"--resume={tmp_path}"])[0].seed == 8


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("lr_min", "1e-5", 1e-5),
        ("lr_min", ".00001", 1e-5),
        ("autoaugment", "0", False),
        ("autoaugment", "true", True),
        ("pretrained", "", ""),
        ("pretrained", "~", ""),
        ("data_url", "s3://bucket/$HOME", "s3://bucket/$HOME"),
        ("no_weight_decay_filter", "1e-5", "1e-5"),
        ("hlg_config_path", "''", ""),
        ("output_path", "${DATA_PATH}/a/$DATA_PATH", "/data/a//data"),
        ("output_path", "/a$$b", "/a$b"),
    ],
)
def test_the_type_of_the_key_decides_what_a_text_means(recipe: Any, key: str, text: str, value: object) -> None:
    assert getattr(load(recipe(f"{key}: {text}"))[0], key) == value


VARIABLES = "$NAME, ${NAME} and $$ for a dollar sign"


@pytest.mark.parametrize(
    ("key", "texts", "allowed"),
    [
        ("batch_size", ("0", "64.0", "1e3", "010", "1_000", " 64", "", "٣", "9" * 70), "a whole number >= 1, <= 65536"),
        ("max_epoch", ("9" * 18, "100001"), "a whole number >= 1, <= 100000"),
        ("class_num", ("100000000000",), "a whole number >= 2, <= 1000000"),
        ("train_num_workers", ("1000000",), "a whole number >= 1, <= 1024"),
        ("lr_max", ("0", "-1e-3", "nan", "inf", "1e999", "0x1", "1e", "", "fast", "1001"), "a number > 0, <= 1000"),
        ("autoaugment", ("2", "yes", "", "1.0", "-1"), "0 or 1"),
        ("crop_min", ("0", "1.01"), "a number > 0, <= 1"),
        ("beta2", ("1", "-0.1"), "a number >= 0, < 1"),
        ("context_mode", ("2", "graph", ""), "0 | 1"),
        ("seed", ("4294967296",), "a whole number >= 0, <= 4294967295"),
        ("amp_level", ("O1",), "O0 | O2 | O3"),
        ("hlg_config_path", ("src.hlg.Other",), "'' | src.hlg.HLGConfig"),
        ("eval_image_size", ("-112", "225", "1120000"), "a multiple of 112 (112, 224, 336, 448, ...) <= 4480"),
        ("pretrained", ("a$", "$5", "${DATA_PATH", "${}"), VARIABLES),
    ],
)
def test_an_impossible_value_is_told_what_is_allowed(key: str, texts: tuple[str, ...], allowed: str) -> None:
    for text in texts:
        assert error_of([f"--{key}={text}"]) == f"--{key}: found {text!r}; allowed: {allowed}"


@pytest.mark.parametrize(
    ("wrong", "right", "rule"),
    [
        ("--lr_min=0.01", "--lr_min=0.001", "0.01 and lr_max (default) is 0.001: lr_min must not be above lr_max"),
        ("--lr_init=0.01", "--lr_init=0.001", "lr_init must not be above lr_max"),
        ("--lr_decay_mode=exp --lr_min=0", "--lr_min=0", "lr_min must be above 0"),
        ("--max_epoch=19", "--max_epoch=20", "warmup_epochs must not be above max_epoch"),
        ("--eval_interval=4 --eval_offset=4", "--eval_interval=5 --eval_offset=4", "must be below eval_interval"),
        ("--loss_name=ce_smooth", "--loss_name=ce_smooth --mixup=0 --class_num=2", "ce_smooth_mixup or mixup 0"),
        ("--loss_name=ce_ignore --mixup=0.1", "--loss_name=ce_ignore --mixup=0", "ce_smooth_mixup or mixup 0"),
        ("--class_num=2", "--class_num=3", "choose loss_name ce_smooth and mixup 0 for fewer"),
    ],
)
def test_what_is_possible_alone_and_impossible_together_is_an_error(wrong: str, right: str, rule: str) -> None:
    message = error_of(wrong.split())
    assert message.endswith(rule)
    assert wrong.partition("=")[0] in message
    load(right.split())


def test_folders_and_files_that_the_program_needs_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir()
    nothing = "dataset_path (default): found nothing; allowed: a folder that exists (--dataset_path=...)"
    assert error_of([], ("dataset_path",)) == nothing
    for key, good, kind in (("dataset_path", folder, "folder"), ("pretrained", file, "file")):
        for bad in ({file, folder} - {good}) | {tmp_path / "missing", tmp_path / ("long" * 100)}:
            message = error_of([f"--{key}={bad}"], (key,))
            assert message == f"--{key}: found '{bad}'; allowed: a {kind} that exists (--{key}=...)"
            load([f"--{key}={bad}"])
        load([f"--{key}={good}"], (key,))
    assert sorted(tmp_path.iterdir()) == [file, folder]  # loading makes nothing


CONFIGS = st.builds(
    Config,
    pretrained=st.text(),  # a path, in which a dollar sign means something
    no_weight_decay_filter=st.text(),
    weight_decay=st.floats(0, 1000),
    beta1=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 2**32 - 1),
    gc_flag=st.booleans(),
    amp_level=st.sampled_from(KEYS["amp_level"].metadata["choices"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=CONFIGS)
@example(config=Config(pretrained=os.fsdecode(b"/data/\xff.ckpt")))  # a file name need not be unicode
def test_what_is_dumped_loads_back_equal_and_means_the_same_to_any_reader(recipe: Any, config: Config) -> None:
    text = dump(config)
    found = yaml.safe_load(text)
    assert list(found) == [spec.name for spec in fields(Config)]
    assert {"lr_min": 1e-5, "autoaugment": 1}.items() <= found.items()
    assert load(recipe(text))[0] == config


YAML_MARKS = st.from_regex(r"[\[\]{}&*!|>%@:#,?'\"\- \nseed0]*", fullmatch=True).map(str.encode)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(list(KEYS)),
    text=st.text() | st.from_regex(r"[-+$0-9.eEtrue]*", fullmatch=True),
    content=st.binary() | YAML_MARKS,
)
def test_any_option_and_any_file_loads_or_is_one_clear_error(recipe: Any, name: str, text: str, content: bytes) -> None:
    for argv, where in (([f"--{name}={text}"], f"--{name}"), (recipe(content), "recipe.yml")):
        try:
            result: object = type(getattr(load(argv)[0], name))
        except UserError as error:
            result = str(error)
        assert result is KEYS[name].type or where in str(result)
