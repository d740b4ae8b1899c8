"""DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT without token types and pooler, under other names."""

from graft.registry.families.family import Family, Head

DISTILBERT = Family(
    name="distilbert",
    types={"distilbert": "DistilBert"},
    prefix="distilbert.",
    head=Head("pre_classifier", "classifier", activation="relu", input_dropout=False),
    keys={
        "layers": "n_layers",
        "width": "dim",
        "heads": "n_heads",
        "ffn": "hidden_dim",
        "vocabulary": "vocab_size",
        "positions": "max_position_embeddings",
    },
    fixed={"activation": "gelu", "pruned_heads": {}},
    absent={"types": 0, "epsilon": 1e-12},
    modules={
        "encoder.layer.{}.attention.self.query": "transformer.layer.{}.attention.q_lin",
        "encoder.layer.{}.attention.self.key": "transformer.layer.{}.attention.k_lin",
        "encoder.layer.{}.attention.self.value": "transformer.layer.{}.attention.v_lin",
        "encoder.layer.{}.attention.output.dense": "transformer.layer.{}.attention.out_lin",
        "encoder.layer.{}.attention.output.LayerNorm": "transformer.layer.{}.sa_layer_norm",
        "encoder.layer.{}.intermediate.dense": "transformer.layer.{}.ffn.lin1",
        "encoder.layer.{}.output.dense": "transformer.layer.{}.ffn.lin2",
        "encoder.layer.{}.output.LayerNorm": "transformer.layer.{}.output_layer_norm",
    },
    drops_attended=False,
    dropouts=("dropout", "attention_dropout", ("seq_classif_dropout",)),
)
