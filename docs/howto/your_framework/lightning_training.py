"""A Lightning module with its data module, as a case."""

import lightning
import torch
from sklearn.datasets import load_digits
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, random_split

import greenbench
from greenbench.integrations.lightning import fit


class Digits(lightning.LightningDataModule):
    def setup(self, stage):
        images, labels = map(torch.as_tensor, load_digits(return_X_y=True))
        data = TensorDataset(images.float() / 16, labels)
        fixed = torch.Generator().manual_seed(0)
        self.train, self.valid, self.test = random_split(data, (0.7, 0.15, 0.15), fixed)

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=64, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.valid, batch_size=256)

    def test_dataloader(self):
        return DataLoader(self.test, batch_size=256)


class Network(lightning.LightningModule):
    def __init__(self, width, lr):
        super().__init__()
        self.lr = lr
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
        )

    def training_step(self, batch):
        loss = functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _, name="val"):
        right = self.layers(batch[0]).argmax(1) == batch[1]
        self.log(f"{name}_accuracy", right.float().mean())

    def test_step(self, batch, index):
        self.validation_step(batch, index, "test")

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


@greenbench.register_training("digits_l", sizes={"s": {"width": 16}, "m": {"width": 128}})
def digits_l(run, width=16):
    module, data = Network(width, run["learning_rate"]), Digits()
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    yield from fit(run, trainer, module, data, monitor="val_accuracy")
    run.final(trainer.test(module, data)[0]["test_accuracy"])
