import pytest

from graft.merging import card
from graft.registry import methods

SOURCES = {
    "large": {"folder": "/models/big", "sha256": {"model.safetensors": "a" * 64}},
    "small_finetuned": {"folder": "/models/tiny", "sha256": {"1.safetensors": "b" * 64, "2.safetensors": "c" * 64}},
}


def test_a_page_is_its_metadata_and_its_paragraphs_and_can_be_taken_apart():
    text = card.page({"tags": ["merge", "ü"], "license": None, "base_model": []}, "# One", "", "two")
    assert card.parts(text) == ({"tags": ["merge", "ü"]}, "# One\n\ntwo\n")


@pytest.mark.parametrize("text", ["# no metadata\n", "---\nnot closed\n", ""])
def test_a_text_without_metadata_is_all_text(text):
    assert card.parts(text) == ({}, text)


def test_a_card_tells_method_strength_options_head_and_every_file():
    options = methods.checked_options("theseus", {"strengths": [0, 1], "depth": "cka"})
    text = card.text(0.5, options, "labelled", SOURCES)
    metadata, body = card.parts(text)
    assert metadata["tags"] == ["merge", "graft", "theseus"] and "license" not in metadata
    told = "embedding_delta False, centred False, layernorm map, depth cka, evidence activations"
    assert f"by `theseus` at strength 0.5 ({told})." in body
    assert "Its head is fitted: labelled." in body
    assert options.citation in body and "strengths" not in body
    rows = [line.split("|")[1:5] for line in body.splitlines() if line.startswith("| ")][2:]
    assert [[cell.strip(" `") for cell in row] for row in rows] == [
        ["large", "big", "model.safetensors", "a" * 16],
        ["small_finetuned", "tiny", "1.safetensors", "b" * 16],
        ["small_finetuned", "tiny", "2.safetensors", "c" * 16],
    ]
    assert "Its head" not in card.text(1.0, options, None, SOURCES)
