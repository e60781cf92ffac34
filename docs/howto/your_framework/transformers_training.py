"""What a Hugging Face `Trainer` trains, as a case: a tiny BERT that counts letters."""

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import greenbench
from greenbench.integrations.transformers import train


def examples(count, seed):
    ids = torch.from_numpy(np.random.default_rng(seed).integers(0, 8, (count, 12)))
    labels = ((ids == 0).sum(1) > (ids == 1).sum(1)).long()
    return [{"input_ids": each, "labels": label} for each, label in zip(ids, labels, strict=True)]


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


@greenbench.register_training("letters", sizes={"s": {"width": 16}, "m": {"width": 64}})
def letters(run, width=16):
    config = BertConfig(
        vocab_size=8,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * width,
    )
    trainer = Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(
            learning_rate=run["learning_rate"],
            per_device_train_batch_size=32,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=examples(256, seed=0),
        eval_dataset=examples(128, seed=1),
        compute_metrics=accuracy,
    )
    yield from train(run, trainer, monitor="eval_accuracy")
    run.final(trainer.evaluate(examples(128, seed=2))["eval_accuracy"])
