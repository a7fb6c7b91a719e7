"""The item index against bare faiss: `python bench/index.py [--items 10000 50000 100000] [--dim 512] [--json]`.

Made unit vectors: 500 clusters of power-law sizes, each spread in 48 directions of its own choosing among all, with noise; 200
more are queries. For each size: how long the inverted file takes to build, its file, what opening
the stored index adds to the resident memory, the median time of a query through `ItemIndex`, through the same with a hundred items
added and a hundred gone since, and of faiss's flat index over the same vectors in the same process; and which share of its 10 nearest is
found. `--hnsw` adds faiss's HNSW (32 neighbours, 80 looked at while building), which is what else could serve. One thread.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from avrec_dag.index import MOST_EXACT, ItemIndex, LiveIndex, files
from avrec_dag.index.nearest import exact
from avrec_dag.schema import VECTOR
from avrec_dag.storage import Blobs

CLUSTERS, DIRECTIONS, QUERIES, K = 500, 48, 200, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 50_000, 100_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hnsw", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import faiss

    faiss.omp_set_num_threads(1)
    told = [measured(n, options.dim, options.seed, hnsw=options.hnsw) for n in options.items]
    if options.json:
        print(
            json.dumps({"faiss": version("faiss-cpu"), "numpy": version("numpy"), "seed": options.seed, "dim": options.dim, "sizes": told})
        )
        return
    versions = f"faiss {version('faiss-cpu')}, numpy {version('numpy')}"
    print(f"{versions}, {options.dim} numbers, seed {options.seed}, 1 thread, exact up to {MOST_EXACT:,} items")
    for one in told:
        print(
            "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in one.items()), flush=True
        )


def made(n: int, dim: int, seed: int) -> np.ndarray:
    """Unit vectors, float32 (n, dim)."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, CLUSTERS + 1) ** 0.7
    owner = rng.choice(CLUSTERS, n, p=shares / shares.sum())
    centres, directions = rng.normal(size=(CLUSTERS, dim)), rng.normal(size=(8 * DIRECTIONS, dim))
    chosen = rng.integers(0, 8 * DIRECTIONS, (CLUSTERS, DIRECTIONS))
    vectors = np.empty((n, dim), np.float32)
    for cluster in range(CLUSTERS):
        rows = np.flatnonzero(owner == cluster)
        within = rng.normal(size=(len(rows), DIRECTIONS)) @ directions[chosen[cluster]] / DIRECTIONS**0.5
        vectors[rows] = centres[cluster] + 1.5 * within + 0.5 * rng.normal(size=(len(rows), dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measured(n: int, dim: int, seed: int, *, hnsw: bool) -> dict[str, float | int | str]:
    """One line of the table."""
    import faiss

    vectors = made(n + QUERIES, dim, seed)
    order = np.random.default_rng([seed, 1]).permutation(len(vectors))
    queries, vectors = vectors[order[:QUERIES]], np.ascontiguousarray(vectors[order[QUERIES:]])
    truth = [set(exact(vectors, query, K)[0].tolist()) for query in queries]
    names = [f"{row:07d}" for row in range(n)]
    started = time.perf_counter()
    built = ItemIndex.build(table(names, vectors))
    build_s = time.perf_counter() - started
    told = files.files(built)
    with tempfile.TemporaryDirectory() as folder:
        blobs = Blobs(folder)
        for name, content in told.items():
            blobs.put("item_index", "item_index", "v", name, content)
        sha256, size = files.digests(told), sum(map(len, told.values()))
        filed = sum(len(content) for name, content in told.items() if name.endswith(".faiss"))
        del built, told
        before = _resident_mb()
        started = time.perf_counter()
        index = files.opened(blobs, blobs.prefix("item_index", "item_index", "v"), sha256)
        open_s = time.perf_counter() - started
        found = [{int(row) for row in index.nearest("fused", query, K)[0]} for query in queries]
        opened_mb = _resident_mb() - before
        beside = ItemIndex.build(table([f"new{row}" for row in range(100)], made(100, dim, seed + 1)), dims=(dim, 1))
        live = LiveIndex.of(index, {*names[100:], *beside.items}, beside)
        live.nearest("fused", queries[0], K)
        flat = faiss.IndexFlatIP(dim)
        flat.add(vectors)
        line: dict[str, float | int | str] = {
            "items": n, "kind": index.kind, "build_s": build_s, "files_mb": size / 1e6, "inverted_mb": filed / 1e6, "open_s": open_s,
            "resident_mb": opened_mb, "recall@10": _recall(truth, found),
            "p50_ms": _p50_ms(lambda query: index.nearest("fused", query, K), queries),
            "p50_live_ms": _p50_ms(lambda query: live.nearest("fused", query, K), queries),
            "p50_flat_ms": _p50_ms(lambda query: flat.search(query[None], K), queries), "flat_mb": vectors.nbytes / 1e6,
        }  # fmt: skip
        if "fused" in index.filed:
            line["lists"], line["probed"] = int(index.filed["fused"].index.nlist), int(index.filed["fused"].index.nprobe)
    return {**line, **(_hnsw(vectors, queries, truth) if hnsw else {})}


def table(names: list[str], vectors: np.ndarray) -> pa.Table:
    """Rows as fused_features has them; joint is left empty, as it would be searched alike."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
    lists = pa.ListArray.from_arrays(pa.array(np.arange(len(vectors) + 1) * vectors.shape[1], pa.int32()), flat).cast(VECTOR)
    return pa.table({"media_id": names, "vector": lists, "joint": pa.nulls(len(names), VECTOR)})


def _hnsw(vectors: np.ndarray, queries: np.ndarray, truth: list[set[int]]) -> dict[str, float]:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 80, 64
    started = time.perf_counter()
    index.add(vectors)
    build_s = time.perf_counter() - started
    found = [{int(row) for row in index.search(query[None], K)[1][0]} for query in queries]
    size = len(faiss.serialize_index(index)) / 1e6
    return {"hnsw_build_s": build_s, "hnsw_mb": size, "hnsw_recall@10": _recall(truth, found),
            "hnsw_p50_ms": _p50_ms(lambda query: index.search(query[None], K), queries)}  # fmt: skip


def _recall(truth: list[set[int]], found: list[set[int]]) -> float:
    return sum(len(best & got) for best, got in zip(truth, found, strict=True)) / sum(map(len, truth))


def _p50_ms(ask: Callable[[np.ndarray], object], queries: np.ndarray) -> float:
    times = []
    for query in queries:
        started = time.perf_counter()
        ask(query)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3


def _resident_mb() -> float:
    """Anonymous memory of this process, without files mapped into it; Linux alone tells, elsewhere the peak."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
