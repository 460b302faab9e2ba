"""Every choice of a training run of Goldilocks, in one frozen record. Chapter: Goldilocks."""

from dataclasses import dataclass, fields

OPTIMIZERS = ("adamw", "adam", "sgd")
PROTOCOLS = ("pure-bf16", "fp32-moments", "stochastic-rounding", "fp32-master", "fp32")
INITIALISATIONS = ("normal", "one-point", "one-point-spread")
LAYER_NORM_EPS = 1e-5  # added to the variance
POSITIVE_COUNTS = ("layers", "width", "heads", "feed_forward", "context", "batch", "steps", "threads")


@dataclass(frozen=True)
class Settings:
    """What a run is, apart from its text: `dataclasses.asdict` of it is plain JSON.

    Raises ValueError where a field cannot be, naming the field, what it is and what it may be.
    """

    layers: int = 4  # decoder layers
    width: int = 128  # D, components of a token's vector
    heads: int = 2  # attention heads a layer; they share the width
    feed_forward: int = 256  # hidden units of a layer's two linear maps
    context: int = 128  # tokens a window
    batch: int = 8  # windows a step
    tied: bool = True  # the output matrix is the input embedding
    learning_rate: float = 1e-3  # no schedule
    beta1: float = 0.9  # decay of the first moment
    beta2: float = 0.999  # decay of the second moment
    eps: float = 1e-8  # added to the root of the second moment
    weight_decay: float = 0.01  # decoupled for adamw, added to the gradient for adam and sgd
    momentum: float = 0.0  # of sgd alone
    optimizer: str = "adamw"  # adamw, adam or sgd
    protocol: str = "pure-bf16"  # what is rounded when: see `compute.goldilocks.protocols`
    init: str = "normal"  # token rows: N(0, init_std^2); all at one such point; or that and N(0, init_spread^2)
    init_std: float = 0.02  # of the embeddings, tokens and positions, unit of a weight
    init_spread: float = 0.0  # of the token rows about their one point, unit of a weight; one-point-spread alone
    steps: int = 12_000  # updates of the weights
    seed: int = 42  # of the initialisation, the windows and the stochastic rounding
    threads: int = 1  # that share a step, one window each at least; other numbers of threads may give other bits

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = (int, float) if field.type is float else (field.type,)
            if not isinstance(value, kinds) or (isinstance(value, bool) and field.type is not bool):
                raise ValueError(f"{field.name} must be {field.type.__name__}, not {value!r}")
        for name in POSITIVE_COUNTS:
            self._ask(name, getattr(self, name) >= 1, "1 or more")
        for name in ("learning_rate", "eps", "init_std"):
            self._ask(name, 0 < getattr(self, name) < float("inf"), "positive and finite")
        for name in ("weight_decay", "init_spread"):
            self._ask(name, 0 <= getattr(self, name) < float("inf"), "0 or more, and finite")
        for name in ("beta1", "beta2", "momentum"):
            self._ask(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name, known in (("optimizer", OPTIMIZERS), ("protocol", PROTOCOLS), ("init", INITIALISATIONS)):
            self._ask(name, getattr(self, name) in known, f"one of {', '.join(known)}")
        self._ask("heads", self.width % self.heads == 0, f"a divisor of the width, {self.width}")
        self._ask("seed", 0 <= self.seed < 2**63, "at least 0 and below 2^63")
        spread = self.init == "one-point-spread"
        self._ask("init_spread", (self.init_spread > 0) == spread, "positive for one-point-spread, and 0 otherwise")
        self._ask("momentum", self.momentum == 0 or self.optimizer == "sgd", "0 unless the optimizer is sgd")

    def _ask(self, name: str, fine: bool, wanted: str) -> None:
        if not fine:
            raise ValueError(f"{name} must be {wanted}; it is {getattr(self, name)!r}")


GOLDILOCKS = Settings()
LEAN = Settings(layers=2, width=64, heads=1, feed_forward=128)  # a sibling: feed-forward is twice the width, as above
BALANCED = Settings(layers=3, width=96, heads=2, feed_forward=192)  # the other one, likewise
