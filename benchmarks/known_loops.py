"""Training scripts as people write them, beside their cases in `docs/howto/known_scripts`.

Nothing here uses greenbench but for the data: networks, loops, optimisers and schedules are the
framework's own. What a case does otherwise is not imitated: other initial weights, other orders,
other draws of dropout and augmentation. Batches that are not full are left out in both.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

from greenbench.datasets import Dataset as Splits
from greenbench.datasets import Split

MEAN, DEVIATION = (0.1307,), (0.3081,)
EVALUATION_BATCH = 500


@dataclass
class Outcome:
    """What a loop ended with.

    Attributes
    ----------
    model : object
        The network, trained.
    score : float
        On the test split: the share of right classes, or bits per token.
    rates : list of float
        The learning rate of each step.
    """

    model: Any
    score: float = math.nan
    rates: list[float] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        if isinstance(self.model, nn.Module) and not hasattr(self.model, "count_params"):
            return sum(each.numel() for each in self.model.parameters())
        return int(self.model.count_params())


class Images(Dataset[tuple[Tensor, Tensor]]):
    """Images with their labels, each transformed when it is asked for."""

    def __init__(self, split: Split, transform: Callable[[Tensor], Tensor]) -> None:
        self.images = torch.from_numpy(np.array(split.inputs))
        self.labels = torch.from_numpy(np.array(split.targets))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.images[index]), self.labels[index]


# ---------------------------------------------------------------- MNIST, Adadelta, StepLR


class LeNet(nn.Module):
    """Two convolutions and two linear layers, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(32 * 5 * 5, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logarithm of the probabilities."""
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = torch.flatten(self.dropout1(x), 1)
        x = self.dropout2(functional.relu(self.fc1(x)))
        return functional.log_softmax(self.fc2(x), dim=1)


def mnist_lenet(splits: Splits, epochs: int, batch_size: int, seed: int) -> Outcome:
    """Train LeNet by the negative log-likelihood; the rate falls after each epoch."""
    torch.manual_seed(seed)
    transform = transforms.Normalize(MEAN, DEVIATION)
    loader = DataLoader(Images(splits.train, transform), batch_size, shuffle=True, drop_last=True)
    outcome = Outcome(LeNet())
    optimizer = torch.optim.Adadelta(outcome.model.parameters(), lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    for _ in range(epochs):
        outcome.model.train()
        for images, labels in loader:
            outcome.rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            loss = functional.nll_loss(outcome.model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        scheduler.step()
    outcome.score = accuracy(outcome.model, Images(splits.test, transform))
    return outcome


# ---------------------------------------------------------------- CIFAR-10, SGD, cosine


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != channels:
            conv = nn.Conv2d(before, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, rectified."""
        out = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of a block each."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = BasicBlock(width, width, 1)
        self.layer2 = BasicBlock(width, 2 * width, 2)
        self.layer3 = BasicBlock(2 * width, 4 * width, 2)
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return a value a class."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def cifar10_resnet(splits: Splits, epochs: int, batch_size: int, seed: int) -> Outcome:
    """Train the residual network on images that are cropped and flipped."""
    torch.manual_seed(seed)
    augment = transforms.Compose(
        [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    )
    loader = DataLoader(Images(splits.train, augment), batch_size, shuffle=True, drop_last=True)
    outcome = Outcome(ResNet())
    optimizer = torch.optim.SGD(outcome.model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    criterion = nn.CrossEntropyLoss()
    for _ in range(epochs):
        outcome.model.train()
        for images, labels in loader:
            outcome.rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            criterion(outcome.model(images), labels).backward()
            optimizer.step()
            scheduler.step()
    outcome.score = accuracy(outcome.model, Images(splits.test, lambda image: image))
    return outcome


# ---------------------------------------------------------------- text, AdamW, warm-up


class Block(nn.Module):
    """Causal attention and a hidden layer, each with a normalisation before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.ln2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return each token's features."""
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.ln1(x)).split(width, dim=2)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.fc2(functional.gelu(self.fc1(self.ln2(x))))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """Two blocks on embeddings of tokens and positions."""

    def __init__(self, vocabulary: int, context: int, width: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.empty(context, width))
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        for weight in (self.tokens.weight, self.positions):
            nn.init.normal_(weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Return a value for each token that could come next."""
        x = self.blocks(self.tokens(x) + self.positions)
        return self.head(self.ln(x))  # type: ignore[no-any-return]


def text_gpt(splits: Splits, epochs: int, batch_size: int, seed: int) -> Outcome:
    """Train the transformer to tell the next character."""
    torch.manual_seed(seed)
    assert splits.vocabulary is not None
    pairs = [torch.from_numpy(np.array(a)) for a in (splits.train.inputs, splits.train.targets)]
    loader = DataLoader(TensorDataset(*pairs), batch_size, shuffle=True, drop_last=True)
    outcome = Outcome(GPT(splits.vocabulary, splits.input_shape[0]))
    optimizer = torch.optim.AdamW(
        outcome.model.parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=0.1
    )
    steps, warmup = epochs * len(loader), round(0.1 * epochs * len(loader))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        along = min((step - warmup) / (steps - warmup), 1.0)
        return 0.1 + 0.9 * (1 + math.cos(math.pi * along)) / 2

    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(epochs):
        outcome.model.train()
        for tokens, following in loader:
            outcome.rates.append(optimizer.param_groups[0]["lr"])
            logits = outcome.model(tokens)
            loss = functional.cross_entropy(logits.flatten(0, 1), following.flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
    outcome.score = bits_per_token(outcome.model, splits.test)
    return outcome


# ---------------------------------------------------------------- MNIST, keras


def mnist_keras(splits: Splits, epochs: int, batch_size: int, seed: int) -> Outcome:
    """Train the convnet by `fit`."""
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    keras.utils.set_random_seed(seed)
    x_train, x_test = (np.moveaxis(each.inputs, 1, -1) for each in (splits.train, splits.test))
    y_train, y_test = (
        keras.utils.to_categorical(each.targets, 10) for each in (splits.train, splits.test)
    )
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(16, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    whole = len(x_train) // batch_size * batch_size
    outcome = Outcome(model)

    def step_begins(batch: int, logs: Any = None) -> None:
        outcome.rates.append(float(model.optimizer.learning_rate))

    watch = keras.callbacks.LambdaCallback(on_train_batch_begin=step_begins)
    model.fit(
        x_train[:whole], y_train[:whole], batch_size=batch_size, epochs=epochs, verbose=0,
        callbacks=[watch],
    )  # fmt: skip
    outcome.score = float(model.evaluate(x_test, y_test, batch_size=500, verbose=0)[1])
    return outcome


# ---------------------------------------------------------------- what they are judged by


def accuracy(model: nn.Module, images: Images) -> float:
    """Return the share of images whose class is found."""
    model.eval()
    right = 0
    with torch.no_grad():
        for batch, labels in DataLoader(images, EVALUATION_BATCH):
            right += int((model(batch).argmax(dim=1) == labels).sum())
    return right / len(images)


def bits_per_token(model: nn.Module, split: Split) -> float:
    """Return the mean cross-entropy of a token, in bits."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(split), 100):
            tokens, following = (
                torch.from_numpy(np.array(each[start : start + 100]))
                for each in (split.inputs, split.targets)
            )
            logits = model(tokens).flatten(0, 1)
            total += float(functional.cross_entropy(logits, following.flatten(), reduction="sum"))
    return total / np.size(split.targets) / math.log(2)


Loop = Callable[[Splits, int, int, int], Outcome]
LOOPS: Mapping[str, Loop] = {
    "mnist_lenet": mnist_lenet,
    "cifar10_resnet": cifar10_resnet,
    "text_gpt": text_gpt,
    "mnist_keras": mnist_keras,
}
"""Loops by the names of the files that have their cases."""
