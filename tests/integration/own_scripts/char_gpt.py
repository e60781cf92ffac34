"""A small GPT on characters, by iterations: AdamW, a warm-up, and an estimate now and then."""

import math
import sys
from dataclasses import dataclass, fields

import pydoc_data.topics
import torch
from torch import nn
from torch.nn import functional


@dataclass
class Config:
    max_iters: int = 150
    eval_interval: int = 50
    eval_iters: int = 5
    batch_size: int = 32
    block_size: int = 64
    layers: int = 2
    heads: int = 2
    width: int = 64
    learning_rate: float = 1e-3
    warmup: int = 20


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attend = nn.Linear(config.width, 3 * config.width)
        self.project = nn.Linear(config.width, config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, 4 * config.width),
            nn.GELU(),
            nn.Linear(4 * config.width, config.width),
        )

    def forward(self, x):
        n, length, width = x.shape
        parts = self.attend(self.norm1(x)).view(n, length, 3 * self.heads, -1).transpose(1, 2)
        y = functional.scaled_dot_product_attention(*parts.chunk(3, dim=1), is_causal=True)
        x = x + self.project(y.transpose(1, 2).reshape(n, length, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, config, vocabulary):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, config.width)
        self.places = nn.Embedding(config.block_size, config.width)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.layers)))
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, vocabulary))

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        logits = self.head(self.blocks(x))
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def get_batch(config, data):
    starts = torch.randint(len(data) - config.block_size, (config.batch_size,))
    x = torch.stack([data[i : i + config.block_size] for i in starts])
    return x, torch.stack([data[i + 1 : i + 1 + config.block_size] for i in starts])


@torch.no_grad()
def estimate_loss(config, model, parts):
    model.eval()
    found = {}
    for name, data in parts.items():
        losses = [model(*get_batch(config, data)).item() for _ in range(config.eval_iters)]
        found[name] = sum(losses) / len(losses)
    model.train()
    return found


def main(config):
    torch.manual_seed(1337)
    text = "".join(pydoc_data.topics.topics.values())
    letters = {letter: index for index, letter in enumerate(sorted(set(text)))}
    data = torch.tensor([letters[letter] for letter in text])
    parts = {"train": data[: len(data) * 9 // 10], "val": data[len(data) * 9 // 10 :]}

    model = GPT(config, len(letters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    for iteration in range(1, config.max_iters + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, iteration / config.warmup)
        loss = model(*get_batch(config, parts["train"]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if iteration % config.eval_interval == 0:
            losses = estimate_loss(config, model, parts)
            bits = losses["val"] / math.log(2)
            print(f"step {iteration}: loss {losses['train']:.4f}, {bits:.3f} bits a character")


if __name__ == "__main__":
    kinds = {each.name: each.type for each in fields(Config)}
    given = (each.removeprefix("--").split("=") for each in sys.argv[1:])
    main(Config(**{name: kinds[name](value) for name, value in given}))
