from graft.compute.hardware import Stopwatch
from graft.config.launch import Launch
from graft.config.models import RandomModel
from graft.encoders.models import load_encoder
from graft.io import files
from graft.training.saving import save_encoder, write_manifest

LAUNCH = Launch(device="cpu", precision="fp32")


def test_a_saved_encoder_is_whole_with_the_tokenizer_it_was_trained_on(pico_models, tmp_path):
    encoder = load_encoder(pico_models / "small")
    out = save_encoder(encoder, pico_models / "large", tmp_path / "out")
    again = load_encoder(out).state_dict()
    assert all(again[name].equal(tensor) for name, tensor in encoder.state_dict().items())
    for name in files.TOKENIZER:
        assert (out / name).read_bytes() == (pico_models / "large" / name).read_bytes()


def test_a_manifest_has_the_sum_of_every_file_and_the_facts_of_the_training(pico_models, tmp_path):
    out = save_encoder(load_encoder(pico_models / "small"), pico_models / "large", tmp_path / "out")
    for _ in range(2):  # a second one does not count the first among the model's files
        source = RandomModel(kind="random", like="small")
        write_manifest(out, "f", source, LAUNCH, Stopwatch(LAUNCH), pretraining_flops=7)
    manifest = files.read_json(out / "manifest.json")
    assert (manifest["fingerprint"], manifest["pretraining_flops"], manifest["source"]["like"]) == ("f", 7, "small")
    assert manifest["sha256"] == {
        path.name: files.sha256(path) for path in out.iterdir() if path.name != "manifest.json"
    }
    assert manifest["provenance"]["device"] == "cpu" and manifest["measured"]["wall_seconds"] >= 0
