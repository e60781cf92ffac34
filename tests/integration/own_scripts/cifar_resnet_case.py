"""CIFAR-10 with a small ResNet: SGD with momentum, a cosine, crops and flips, the best kept."""

import argparse
import os

import greenbench
import torch
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--width", type=int, default=8)
parser.add_argument("--limit", type=int, default=1000)
parser.add_argument("--save", default="best.pt")


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        out = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        self.blocks = nn.Sequential(
            *(Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2))
        )
        self.head = nn.Linear(4 * width, 10)

    def forward(self, x):
        return self.head(self.blocks(torch.relu(self.stem(x))).mean((2, 3)))


def loaders(args):
    normalise = transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    plain = [transforms.ToTensor(), normalise]
    augmented = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *plain]
    folder = os.environ["GREENBENCH_DATA_DIR"] + "/cifar10-jpeg"
    train_set = datasets.ImageFolder(f"{folder}/train", transforms.Compose(augmented))
    test_set = datasets.ImageFolder(f"{folder}/test", transforms.Compose(plain))
    some = range(0, len(train_set), max(1, len(train_set) // args.limit))
    train_loader = DataLoader(Subset(train_set, some), 128, shuffle=True)
    return train_loader, DataLoader(Subset(test_set, range(0, 1000, 2)), 250)


@greenbench.register_training("cifar_resnet", sizes={"s": {"width": 8}, "m": {"width": 16}})
def main(run, width=8, limit=1000):
    args = parser.parse_args([f"--width={width}", f"--limit={limit}"])
    train_loader, test_loader = loaders(args)
    net = ResNet(args.width)
    criterion = nn.CrossEntropyLoss()
    optimizer = SGD(net.parameters(), lr=run["learning_rate"], momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=run.max_epochs)

    best = 0.0
    for epoch in run.epochs():
        net.train()
        total = 0.0
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            loss = criterion(net(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        scheduler.step()
        with run.phase("evaluate"):
            accuracy = evaluate(net, test_loader)
        print(f"epoch {epoch}: loss {total / len(train_loader.dataset):.3f}, {accuracy:.2%}")
        if accuracy > best:
            best = accuracy
            with run.phase("save"):
                torch.save(net.state_dict(), args.save)
        yield run.report(loss=total / len(train_loader.dataset), score=accuracy)


@torch.no_grad()
def evaluate(net, loader):
    net.eval()
    right = sum((net(inputs).argmax(1) == targets).sum().item() for inputs, targets in loader)
    return right / len(loader.dataset)


if __name__ == "__main__":
    main(parser.parse_args())
