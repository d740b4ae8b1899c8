import torch

from graft.merging.classifier_heads.head import Head, head_logits


def test_a_head_answers_as_bert_does(pico_classifier, pico_batches):
    model = pico_classifier(labels=("a", "b", "c"))
    (batch,) = pico_batches(examples=4)
    pooler, classifier = model.bert.pooler.dense, model.classifier
    head = Head(pooler.weight, pooler.bias, classifier.weight, classifier.bias)
    with torch.no_grad():
        states = model.bert(**batch).last_hidden_state[:, 0]
        torch.testing.assert_close(head_logits(head, states), model(**batch).logits)
        assert head_logits(head, states.double()).dtype == torch.float64 and len(head.classifier_bias) == 3
