"""A first script in PyTorch: MNIST, two convolutions, Adadelta, StepLR and NLL."""

import argparse
import os

import greenbench
import torch
from torch import nn, optim
from torch.nn import functional
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

LOG_INTERVAL = 10


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * 12 * 12, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(torch.flatten(self.dropout(x), 1)))
        return functional.log_softmax(self.fc2(x), dim=1)


def train(model, device, loader, optimizer, epoch):
    model.train()
    for index, (data, target) in enumerate(loader):
        optimizer.zero_grad()
        loss = functional.nll_loss(model(data.to(device)), target.to(device))
        loss.backward()
        optimizer.step()
        if index % LOG_INTERVAL == 0:
            print(f"epoch {epoch}: batch {index} of {len(loader)}, loss {loss.item():.4f}")


def test(model, device, loader):
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in loader:
            output = model(data.to(device))
            loss += functional.nll_loss(output, target.to(device), reduction="sum").item()
            correct += (output.argmax(1) == target.to(device)).sum().item()
    count = len(loader.dataset)
    print(f"test: loss {loss / count:.4f}, accuracy {correct / count:.2%}")
    return correct / count


@greenbench.register_training("mnist_adadelta")
def main(run, limit=1000):
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=1.0)
    parser.add_argument("--gamma", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, default=1000)
    args = parser.parse_args([f"--limit={limit}"])

    torch.manual_seed(run.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.1307, 0.3081)])
    folder = os.environ["GREENBENCH_DATA_DIR"]
    train_set = Subset(datasets.MNIST(folder, train=True, transform=transform), range(args.limit))
    test_set = Subset(datasets.MNIST(folder, train=False, transform=transform), range(1000))
    train_loader = DataLoader(train_set, args.batch_size, shuffle=True)
    test_loader = DataLoader(test_set, 500)

    model = Net().to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=run["learning_rate"])
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    for epoch in run.epochs():
        train(model, device, train_loader, optimizer, epoch)
        with run.phase("evaluate"):
            accuracy = test(model, device, test_loader)
        scheduler.step()
        yield run.report(score=accuracy)


if __name__ == "__main__":
    main()
