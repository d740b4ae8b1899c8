"""Distillation on pico models: the start is exact where it can be, the loss falls, equal seeds give equal bytes."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from graft.config.models import DistilOptions
from graft.encoders.models import load_encoder
from graft.encoders.saving import save_model
from graft.flops.counts import distil_step_flops, encoder_flops
from graft.io.files import sha256
from graft.registry.shapes import Shape, check_shapes
from graft.training.distil import _Losses, autocast_for, distil_model
from graft.training.unlabelled import Running

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(56))]
LARGE = Shape(layers=4, width=16, heads=2, ffn=32, vocabulary=60, positions=16)
SMALL = Shape(layers=2, width=8, heads=2, ffn=16, vocabulary=60, positions=16)
OPTIONS = DistilOptions(steps=40, batch_size=8, learning_rate=3e-3, start_texts=64, log_every=10)


def changed_options(**changes):
    return OPTIONS.model_copy(update=changes)


@pytest.fixture
def teacher(tmp_path, pico_encoder):
    folder = tmp_path / "teacher"
    save_model(pico_encoder(seed=1, width=16, layers=4, ffn=32).float(), folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=16)  # as in the files of sentence encoders
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return folder


@pytest.fixture
def texts():
    generator = torch.Generator().manual_seed(0)

    def words() -> str:
        count = int(torch.randint(2, 6, (), generator=generator))
        return " ".join(f"w{i}" for i in torch.randint(0, 56, (count,), generator=generator).tolist())

    return [words() for _ in range(60)] + [(words(), words()) for _ in range(60)]


def test_loss_falls_and_the_log_says_so(teacher, texts, tmp_path):
    seen = []
    result = distil_model(
        *(teacher, texts, SMALL, OPTIONS, tmp_path / "out", 0),
        Running(progress=seen.append, log_path=tmp_path / "log.jsonl"),
    )
    assert [record["step"] for record in result.curve] == [10, 20, 30, 40]
    assert result.curve[-1]["loss"] < 0.95 * result.curve[0]["loss"]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == seen
    assert [record["loss"] for record in seen] == [record["loss"] for record in result.curve]


def test_result_is_an_encoder_of_the_shape_with_its_projection_and_tokenizer(teacher, texts, tmp_path):
    out = tmp_path / "out"
    distil_model(teacher, texts, SMALL, changed_options(steps=2), out, 0)
    assert Shape.of(out) == SMALL
    encoder = load_encoder(out)
    assert all(torch.isfinite(tensor).all() for tensor in encoder.state_dict().values())
    projection = load_file(out / "fit_dense.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in projection.items()} == {"weight": (16, 8), "bias": (16,)}
    assert sha256(out / "tokenizer.json") == sha256(teacher / "tokenizer.json")
    assert sha256(out / "vocab.txt") == sha256(teacher / "vocab.txt")


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(teacher, texts, tmp_path):
    options = changed_options(steps=3)
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        distil_model(teacher, texts, SMALL, options, folder, seed)
    for file in ("model.safetensors", "fit_dense.safetensors"):
        first, again, other = (sha256(folder / file) for folder in folders)
        assert first == again != other


def test_student_of_the_teachers_shape_starts_with_no_loss(teacher, texts, tmp_path):
    result = distil_model(teacher, texts, LARGE, changed_options(steps=1, log_every=1), tmp_path / "out", 0)
    assert result.curve[0]["loss"] < 1e-10


def test_closed_form_start_beats_random_layers(teacher, texts, tmp_path):
    options = changed_options(steps=1, log_every=1)
    fitted = distil_model(teacher, texts, SMALL, options, tmp_path / "a", 0).curve[0]
    random = distil_model(
        teacher, texts, SMALL, changed_options(steps=1, log_every=1, start="random"), tmp_path / "b", 0
    ).curve[0]
    assert fitted["hidden"] < 0.8 * random["hidden"]
    assert fitted["attention"] < random["attention"]


@pytest.mark.parametrize("changed", [{"positions": 12}, {"positions": 12, "width": 16, "ffn": 32}])
def test_student_with_fewer_positions_is_made(changed, teacher, texts, tmp_path):
    shape = replace(SMALL, **changed)
    distil_model(teacher, texts, shape, changed_options(steps=1), tmp_path / "out", 0)
    assert Shape.of(tmp_path / "out") == shape


@pytest.fixture
def losses(pico_encoder):
    torch.manual_seed(0)
    large, small = pico_encoder(seed=1, width=16, layers=4, ffn=32), pico_encoder(seed=2)
    return _Losses(small, large, torch.nn.Linear(8, 16).double(), OPTIONS)


def test_loss_does_not_see_padding(losses, pico_batches):
    (batch,) = pico_batches(examples=4, size=4)
    padded = {name: torch.nn.functional.pad(tensor, (0, 3)) for name, tensor in batch.items()}
    for name, value in losses(batch).items():
        torch.testing.assert_close(losses(padded)[name], value)


def test_attention_loss_ignores_what_all_keys_share(losses, pico_batches):
    (batch,) = pico_batches(examples=4, size=4)
    before = losses(batch)
    with torch.no_grad():
        losses.student.encoder.layer[0].attention.self.key.bias.add_(1.0)
    after = losses(batch)
    torch.testing.assert_close(after["attention"], before["attention"])
    torch.testing.assert_close(after["hidden"], before["hidden"])


def test_flops_count_teacher_forward_and_student_training_with_padding(teacher, tmp_path):
    texts = ["w1 w2"] * 8  # 4 tokens each with [CLS] and [SEP]: no padding
    one, three = (
        distil_model(teacher, texts, SMALL, changed_options(steps=n, start="random"), tmp_path / str(n), 0).flops
        for n in (1, 3)
    )
    assert three - one == 2 * 8 * distil_step_flops(LARGE, SMALL, 4)
    # By hand: three levels projected from 8 to 16; scores of 4 x 4 tokens in two layers, the student's trained.
    extra = 3 * (3 * 2 * 4 * 8 * 16 + 2 * 2 * 4 * 4 * 8) + 2 * 2 * 4 * 4 * 16
    assert distil_step_flops(LARGE, SMALL, 4) == encoder_flops(LARGE, 4) + 3 * encoder_flops(SMALL, 4) + extra


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"layers": 3}, "3 layers; must divide the teacher's 4"),
        ({"heads": 4}, "4 heads, .* the teacher's 2"),
        ({"width": 9}, "9 wide"),
        ({"width": 32}, "width 32, above the teacher's 16"),
        ({"ffn": 64}, "ffn 64, above the teacher's 32"),
        ({"vocabulary": 61}, "vocabulary 61, not the teacher's 60"),
    ],
)
def test_shapes_that_cannot_follow_are_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        check_shapes(LARGE, replace(SMALL, **changed))


def test_no_texts_is_an_error(teacher, tmp_path):
    with pytest.raises(ValueError, match="no texts"):
        distil_model(teacher, [], SMALL, OPTIONS, tmp_path / "out", 0)


def test_precision_asked_for_is_used():
    with autocast_for("cpu", "bf16")():
        assert torch.is_autocast_enabled("cpu")
    with autocast_for("cpu", "fp32")():
        assert not torch.is_autocast_enabled("cpu")
