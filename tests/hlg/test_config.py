"""The configuration: what is read, from where, and the one clear error for everything else."""

import os
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hlg.config import COMPARE, KEYS, Config, describe, dump, load
from hlg.errors import UserError
from tests.support import ROOT

PUBLISHED = ROOT / "tests/hlg/fixtures" / "published"
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


def error_of(argv: list[str], need: tuple[str, ...] = ()) -> str:
    """The message of the error, which must be one line."""
    with pytest.raises(UserError) as caught:
        load(argv, need)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- the published files ---


@pytest.mark.parametrize("name", ["hlg_config", "hlg_cloud", "hlg_eval", "hlg_export"])
def test_a_published_file_loads_unchanged(name: str) -> None:
    file = PUBLISHED / f"{name}.yml"
    config, stem = load(["--config_path", str(file)])
    assert stem == name
    for key, published in yaml.safe_load(file.read_text()).items():
        value = getattr(config, key)
        expected = str(published or "").replace("$DATA_PATH", "/data") if isinstance(value, str) else published
        assert value == (float(expected) if isinstance(value, float) else expected), key


def test_the_types_of_the_published_values_are_those_of_the_keys() -> None:
    config, _ = load(["--config_path", str(PUBLISHED / "hlg_cloud.yml")])
    assert config.enable_modelarts is True
    assert config.gc_flag is False
    assert config.checkpoint_url == ""
    assert load(["--config_path", str(PUBLISHED / "hlg_config.yml")])[0].lr_min == 1e-5
    assert all(type(value) is KEYS[name].type for name, value in asdict(config).items())


def test_defaults_are_the_published_gpu_recipe_except_where_the_help_says_so() -> None:
    published, _ = load(["--config_path", str(PUBLISHED / "hlg_config.yml")])
    ours = {name for name in KEYS if getattr(Config(), name) != getattr(published, name)}
    assert ours == {"dataset_path", "eval_path", "save_checkpoint_path", "device_target", "amp_level"}
    assert all("(published: " in KEYS[name].metadata["help"] for name in ours)


def test_our_recipe_trains_as_the_published_one() -> None:
    published = asdict(load(["--config_path", str(PUBLISHED / "hlg_cloud.yml")])[0])
    ours = asdict(load(["--config_path", str(RECIPES / "hlg_mobile.yml")])[0])
    differing = {name for name in ours if ours[name] != published[name]}
    assert differing == {
        "enable_modelarts", "data_url", "train_url", "dataset_path", "eval_path", "save_checkpoint_path",
    }  # fmt: skip


def test_our_recipe_for_the_cloud_is_the_published_one_but_for_its_bucket() -> None:
    published, ours = (
        asdict(load(["--config_path", str(folder / "hlg_cloud.yml")])[0]) for folder in (PUBLISHED, RECIPES)
    )
    assert {name for name in ours if ours[name] != published[name]} == {"data_url", "train_url"}


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yml")), ids=lambda file: file.stem)
def test_every_recipe_loads_and_opens_with_its_command_result_duration_and_source(file: Path) -> None:
    load(["--config_path", str(file)])
    opening = file.read_text().split("\n\n")[0]
    assert f"--config_path configs/{file.name}" in opening
    assert all(f"#   {part} " in opening for part in ("command", "expected", "duration", "source"))


# --- the keys ---


def test_every_key_has_a_type_and_a_help_and_every_number_a_unit() -> None:
    for spec in fields(Config):
        assert spec.type in (bool, int, float, str), spec.name
        assert type(spec.default) is spec.type, spec.name
        assert spec.metadata["help"], spec.name
        assert bool(spec.metadata["unit"]) == (spec.type in (int, float)), spec.name


def test_help_lists_every_key_with_unit_limits_default_and_meaning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        load(["--batch_size", "64", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.strip() == describe()
    assert "--batch_size [images]  a whole number >= 1; default 128\n" in text
    assert "--amp_level  O0 | O2 | O3; default O0\n" in text
    assert "--gc_flag  0 or 1; default 0\n" in text
    assert all(f"--{spec.name}" in text and spec.metadata["help"] in text for spec in fields(Config))


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().batch_size = 64  # type: ignore[misc]


@pytest.mark.parametrize(
    ("interval", "offset", "epochs", "evaluated"),
    [
        (1, -1, 3, [0, 1, 2]),
        (2, -1, 5, [0, 2, 4]),
        (4, -1, 10, [1, 5, 9]),
        (4, 0, 10, [3, 7]),
        (4, 1, 10, [0, 4, 8]),
    ],
)
def test_evaluations_fall_on_the_published_epochs(
    interval: int, offset: int, epochs: int, evaluated: list[int]
) -> None:
    config = Config(eval_interval=interval, eval_offset=offset, max_epoch=epochs)
    assert [epoch for epoch in range(epochs) if config.evaluates(epoch)] == evaluated


def test_no_label_smoothing_means_a_factor_of_zero() -> None:
    assert Config(label_smooth_factor=0.3).smoothing == 0.3
    assert Config(label_smooth_factor=0.3, use_label_smooth=False).smoothing == 0


def test_the_filter_of_weight_decay_is_separated_by_commas() -> None:
    assert Config().no_weight_decay_names == ("beta", "bias")
    assert Config(no_weight_decay_filter=" gamma, beta,").no_weight_decay_names == ("gamma", "beta")
    assert Config(no_weight_decay_filter="").no_weight_decay_names == ()


# --- the command line ---


def test_without_arguments_everything_has_its_default() -> None:
    assert load([]) == (Config(), "default")


def test_the_command_line_overrides_the_file(recipe: Any) -> None:
    argv = recipe("batch_size: 16\nmax_epoch: 40")
    config, stem = load([*argv, "--batch_size", "64", "--lr_max=2e-3", "--eval_offset", "-1"])
    assert (config.batch_size, config.max_epoch, config.lr_max, stem) == (64, 40, 2e-3, "recipe")


def test_the_last_of_two_equal_options_holds() -> None:
    assert load(["--seed", "1", "--seed", "2"])[0].seed == 2


def test_a_variable_in_an_overridden_value_need_not_be_set(recipe: Any) -> None:
    assert load([*recipe("eval_path: $UNSET/val"), "--eval_path", "/val"])[0].eval_path == "/val"


def test_a_prefix_of_a_key_is_not_the_key() -> None:
    message = error_of(["--batch", "64"])
    assert message == "--batch: unknown key 'batch'; closest known key: 'batch_size' (--help lists all)"


@pytest.mark.parametrize("argv", [["--batch_size"], ["--batch_size", "--seed", "1"], ["--config_path"]])
def test_an_option_without_its_value_is_an_error(argv: list[str]) -> None:
    assert error_of(argv) == f"{argv[0]}: found no value; allowed: {argv[0]} VALUE or {argv[0]}=VALUE"


@pytest.mark.parametrize("argument", ["64", "-batch_size", "recipe.yml", ""])
def test_a_word_that_belongs_to_no_key_is_an_error(argument: str) -> None:
    assert error_of(["--seed", "1", argument]) == f"{argument}: follows no key; allowed: --key value"


# --- the file ---


def test_an_unknown_key_is_named_with_its_line_and_the_closest_known_one(recipe: Any) -> None:
    message = error_of(recipe("seed: 1\n\nBatchSize: 64"))
    assert message.endswith("recipe.yml:3: unknown key 'BatchSize'; closest known key: 'batch_size' (--help lists all)")


def test_a_value_is_named_with_its_line_its_key_and_what_is_allowed(recipe: Any) -> None:
    message = error_of(recipe("# a comment\nbatch_size: 0"))
    assert message.endswith("recipe.yml:2: batch_size: found '0'; allowed: a whole number >= 1")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": found nothing; allowed: lines of `key: value`"),
        ("# only a comment\n", ": found nothing; allowed: lines of `key: value`"),
        ("- batch_size", ": found a list; allowed: lines of `key: value`"),
        ("batch_size 64", ": found text; allowed: lines of `key: value`"),
        ("seed: 1\nbatch_size: [64]", ":2: batch_size: found a list; allowed: a whole number >= 1"),
        ("pretrained: {a: b}", ":1: pretrained: found a mapping; allowed: a file"),
        ("? [seed]\n: 1", ":1: unknown key 'a list'"),
        ("~: 1", ":1: unknown key '~'"),
        ("config_path: other.yml", ":1: unknown key 'config_path'"),
        ("seed: 1\nmixup: 0\nseed: 2", ":3: seed: found a second time, after line 1; allowed: once"),
        ("seed: 1\n  mixup: 0", ":2: this is not YAML in UTF-8: mapping values are not allowed here"),
        ("pretrained: 'a", ":1: this is not YAML in UTF-8: found unexpected end of stream"),
        ("seed: 1\n---\nseed: 2", ":2: this is not YAML in UTF-8: but found another document"),
        (b"seed: 1 # \xe9", ": this is not YAML in UTF-8: 'utf-8' codec can't decode byte 0xe9"),
        ("seed: \x00", ": this is not YAML in UTF-8: unacceptable character #x0000"),
        (r'pretrained: "\UFFFFFFFF"', ": this is not YAML in UTF-8: "),
    ],
)
def test_a_file_that_is_no_flat_mapping_is_one_clear_error(recipe: Any, text: str, problem: str) -> None:
    assert f"recipe.yml{problem}" in error_of(recipe(text))


def test_a_config_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    missing = f"{tmp_path}/recipe.yml"
    assert error_of([f"--config_path={missing}"]) == (
        f"{missing}: this config file cannot be read: No such file or directory"
    )
    assert error_of([f"--config_path={tmp_path}"]).endswith("cannot be read: Is a directory")


def test_a_file_may_start_with_a_byte_order_mark(recipe: Any) -> None:
    assert load(recipe(b"\xef\xbb\xbfseed: 5"))[0].seed == 5


# --- values ---


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("lr_min", "1e-5", 1e-5),
        ("lr_min", "'1E-5'", 1e-5),
        ("lr_min", ".00001", 1e-5),
        ("mixup", "1", 1.0),
        ("autoaugment", "0", False),
        ("autoaugment", "true", True),
        ("autoaugment", "False", False),
        ("eval_offset", "-1", -1),
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


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *[("batch_size", text) for text in ("0", "-1", "64.0", "1e3", "010", "1_000", " 64", "", "٣", "9" * 5000)],
        *[("lr_max", text) for text in ("0", "-1e-3", "nan", "inf", "1e999", "0x1", "1:30", "1e", "", "fast")],
        *[("autoaugment", text) for text in ("2", "yes", "", "1.0", "-1")],
        *[("crop_min", text) for text in ("0", "1.01")],
        *[("beta2", text) for text in ("1", "-0.1")],
        *[("interpolation", text) for text in ("BICUBIC", "bilinear", "")],
        *[("context_mode", text) for text in ("2", "graph", "")],
        ("seed", "4294967296"),
        ("class_num", "1"),
        ("opt", "sgd"),
        ("backbone", "hlg_small"),
        ("device_target", "gpu"),
        ("amp_level", "O1"),
        ("file_format", "AIR"),
        ("hlg_config_path", "src.hlg.Other"),
        ("lr_decay_mode", "cos"),
        ("on_unreadable", "ignore"),
    ],
)
def test_a_wrong_or_impossible_value_is_an_error(key: str, text: str) -> None:
    assert error_of([f"--{key}={text}"]).startswith(f"--{key}: found {text!r}; allowed: ")


@pytest.mark.parametrize("key", ["train_image_size", "eval_image_size"])
@pytest.mark.parametrize("size", [0, -112, 128, 225])
def test_an_image_size_without_whole_windows_is_an_error_that_names_sizes_that_fit(key: str, size: int) -> None:
    allowed = "a multiple of 112 (112, 224, 336, 448, ...)"
    assert error_of([f"--{key}={size}"]) == f"--{key}: found '{size}'; allowed: {allowed}"
    assert getattr(load([f"--{key}=336"])[0], key) == 336


def test_values_that_do_not_go_together_are_named_with_both_places(recipe: Any) -> None:
    message = error_of([*recipe("lr_min: 0.1"), "--lr_max", "0.01"])
    assert message.endswith("recipe.yml:1: lr_min is 0.1 and --lr_max is 0.01: lr_min must not be above lr_max")


@pytest.mark.parametrize(
    ("argv", "rule"),
    [
        (["--lr_init=0.01"], "lr_init must not be above lr_max"),
        (["--lr_decay_mode=exp", "--lr_min=0"], "lr_min must be above 0"),
        (["--max_epoch=19"], "warmup_epochs must not be above max_epoch"),
        (["--eval_interval=4", "--eval_offset=4"], "eval_offset must be below eval_interval"),
        (["--loss_name=ce_smooth"], "choose loss_name ce_smooth_mixup or mixup 0"),
        (["--loss_name=ce_ignore", "--mixup=0.1"], "choose loss_name ce_smooth_mixup or mixup 0"),
        (["--class_num=2"], "choose loss_name ce_smooth and mixup 0 for fewer"),
    ],
)
def test_what_is_possible_alone_and_impossible_together_is_an_error(argv: list[str], rule: str) -> None:
    message = error_of(argv)
    assert message.endswith(rule)
    assert argv[0].partition("=")[0] in message


@pytest.mark.parametrize(
    "argv",
    [
        ["--lr_min=0.001"],
        ["--lr_min=0"],
        ["--max_epoch=20"],
        ["--mixup=0"],
        ["--mixup=0", "--loss_name=ce_ignore"],
        ["--mixup=0", "--loss_name=ce_smooth", "--class_num=2"],
    ],
)
def test_what_lies_just_inside_the_rules_loads(argv: list[str]) -> None:
    load(argv)


# --- folders, files and environment variables ---


def test_an_unset_variable_is_an_error_that_says_how_to_set_it(recipe: Any) -> None:
    message = error_of(recipe("eval_path: $UNSET/val"))
    assert message.endswith(
        "recipe.yml:1: eval_path: found '$UNSET/val', but $UNSET is not set; "
        "set it (export UNSET=...) or write the path itself"
    )


@pytest.mark.parametrize("text", ["a$", "$5", "${DATA_PATH", "${}"])
def test_a_dollar_sign_that_starts_no_variable_is_an_error(text: str) -> None:
    assert error_of([f"--pretrained={text}"]).endswith("allowed: $NAME, ${NAME} and $$ for a dollar sign")


def test_a_folder_that_the_program_needs_must_exist(tmp_path: Path) -> None:
    need = ("dataset_path",)
    assert error_of([], need) == (
        "dataset_path (default): found nothing; allowed: a folder that exists (--dataset_path ...)"
    )
    file = tmp_path / "file"
    file.touch()
    for path in (tmp_path / "missing", file, tmp_path / ("long" * 100)):
        message = error_of(["--dataset_path", str(path)], need)
        assert message.startswith(f"--dataset_path: found '{path}'; allowed: a folder that exists")
        load(["--dataset_path", str(path)])
    assert load(["--dataset_path", str(tmp_path)], need)[0].dataset_path == str(tmp_path)


def test_a_checkpoint_that_the_program_needs_must_be_a_file(tmp_path: Path) -> None:
    checkpoint = tmp_path / "hlg.ckpt"
    assert "a file that exists" in error_of([f"--pretrained={checkpoint}"], ("pretrained",))
    assert "a file that exists" in error_of([f"--pretrained={tmp_path}"], ("pretrained",))
    checkpoint.touch()
    load([f"--pretrained={checkpoint}"], ("pretrained",))


def test_loading_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load(["--save_checkpoint_path", "new/runs", "--file_name", "new.mindir"])
    assert list(tmp_path.iterdir()) == []


# --- any input ---


def values(name: str) -> st.SearchStrategy[Any]:
    """All that a key can hold."""
    spec = KEYS[name]
    if spec.metadata["choices"]:
        return st.sampled_from(spec.metadata["choices"])
    if spec.type is bool:
        return st.booleans()
    if spec.type is str:
        return st.text()
    if spec.metadata["multiple_of"] > 1:
        return st.integers(1, 20).map(lambda n: n * spec.metadata["multiple_of"])
    bounds = [bound.split() for bound in spec.metadata["bounds"].split(",")]
    lows = [float(limit) for sign, limit in bounds if sign.startswith(">")]
    highs = [float(limit) for sign, limit in bounds if sign.startswith("<")]
    low, high = max(lows), min(highs, default=1e15)
    numbers = st.integers(int(low), int(high)) if spec.type is int else st.floats(low, high)
    return numbers.filter(lambda n: all(COMPARE[sign](n, float(limit)) for sign, limit in bounds))


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Any possible configuration."""
    config = Config(**{name: draw(values(name)) for name in KEYS})
    rates = sorted((config.lr_init, config.lr_min, config.lr_max))
    return replace(
        config,
        lr_init=rates[0],
        lr_min=rates[1] or rates[2],
        lr_max=rates[2],
        warmup_epochs=min(config.warmup_epochs, config.max_epoch),
        eval_offset=min(config.eval_offset, config.eval_interval - 1),
        mixup=config.mixup if config.loss_name == "ce_smooth_mixup" else 0.0,
        class_num=max(config.class_num, 3),
    )


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs())
def test_what_is_dumped_loads_back_equal(recipe: Any, config: Config) -> None:
    text = dump(config)
    assert list(yaml.safe_load(text)) == [spec.name for spec in fields(Config)]
    assert load(recipe(text))[0] == config


def test_a_dumped_number_is_a_number_for_any_reader_of_yaml() -> None:
    assert yaml.safe_load(dump(Config()))["lr_min"] == 1e-5
    assert yaml.safe_load(dump(Config()))["autoaugment"] == 1


def test_a_file_name_that_is_not_unicode_is_kept(recipe: Any) -> None:
    config = Config(pretrained=os.fsdecode(b"/data/\xff.ckpt"))
    assert load(recipe(dump(config)))[0] == config


def load_or_complain(argv: list[str]) -> Config | str:
    """The configuration or the message of the error: no other exception passes."""
    try:
        return load(argv)[0]
    except UserError as error:
        return str(error)


@settings(deadline=None)
@given(name=st.sampled_from(list(KEYS)), text=st.text() | st.from_regex(r"[-+$0-9.eEtrue]*", fullmatch=True))
def test_any_text_for_any_key_loads_or_is_one_clear_error(name: str, text: str) -> None:
    result = load_or_complain([f"--{name}={text}"])
    if isinstance(result, Config):
        assert type(getattr(result, name)) is KEYS[name].type
    else:
        assert f"--{name}" in result


YAML_MARKS = st.from_regex(r"[\[\]{}&*!|>%@:#,?'\"\- \nseed0]*", fullmatch=True).map(str.encode)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary() | YAML_MARKS)
def test_any_file_loads_or_is_one_clear_error(recipe: Any, content: bytes) -> None:
    result = load_or_complain(recipe(content))
    assert isinstance(result, Config) or "recipe.yml" in result


def test_a_run_that_is_resumed_brings_its_own_config_file(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yml").write_text("seed: 7\n")
    assert load([f"--resume={tmp_path}"])[0].seed == 7
    assert load([f"--resume={tmp_path}/checkpoints/last.ckpt", "--max_epoch=90"])[0].seed == 7
    other = tmp_path / "other.yml"
    other.write_text("seed: 8\n")
    assert load([f"--config_path={other}", f"--resume={tmp_path}"])[0].seed == 8


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--resume: found '.*'; allowed: a run's folder, or a checkpoint in one"):
        load([f"--resume={tmp_path}"])
