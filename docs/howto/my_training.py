# ruff: noqa: PLC0415  What is heavy is imported by whoever trains.
"""A training of one's own, as docs/howto/own-training.md shows it."""

import greenbench


@greenbench.register_training(
    "finetune", sizes={"s": {"width": 16}, "m": {"width": 128}}, score="f1"
)
def finetune(run, width=16):
    import torch
    from sklearn.datasets import load_digits
    from sklearn.metrics import f1_score
    from sklearn.model_selection import train_test_split

    pixels, digits = load_digits(return_X_y=True)
    pixels, digits = torch.tensor(pixels).float() / 16, torch.tensor(digits)
    train, rest, train_y, rest_y = train_test_split(pixels, digits, random_state=run.seed)
    valid, test, valid_y, test_y = rest[:225], rest[225:], rest_y[:225], rest_y[225:]
    model = torch.nn.Sequential(
        torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=run["learning_rate"])
    run.count(model, train[:64])
    if state := run.restore():
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    for _ in run.epochs():
        for batch in torch.randperm(len(train)).split(64):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(train[batch]), train_y[batch])
            loss.backward()
            optimizer.step()
        with run.phase("evaluate"):
            score = f1_score(valid_y, model(valid).argmax(1), average="macro")
        run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
        yield run.report(loss=loss.item(), score=score, samples=len(train))
    with run.phase("test"):
        run.final(f1_score(test_y, model(test).argmax(1), average="macro"))


# end
