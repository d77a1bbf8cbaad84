"""Makes `examples/data/` from a folder laid out like the project's shared data.

    python tests/tools/refresh_examples.py DATA_FOLDER

Only sources under permissive licences are taken; `examples/data/README.md` names them.
"""

import argparse
import csv
import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "data"
AWS_REGION = "us-east-1"
AWS_FAMILIES = {
    *("m6i", "m7i", "c6i", "c7i", "r6i", "r7i"),
    *("g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5"),
}
AZURE_REGIONS = {
    "eastus": "north-america",
    "westeurope": "europe",
    "northeurope": "europe",
    "swedencentral": "europe",
    "germanywestcentral": "europe",
    "uksouth": "europe",
}
MIB_PER_GIB = 1024
COLUMNS = (
    *("provider", "region", "continent", "machine", "cpu_cores", "memory_gib"),
    *("gpu_model", "gpu_count", "gpu_memory_gib", "network_mbps", "usd_per_hour"),
)

Row = dict[str, str]


def read(path: Path) -> Iterator[Row]:
    """Yields the rows of a CSV file, packed or not."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as packed:
            yield from csv.DictReader(packed)
    else:
        with path.open(encoding="utf-8-sig", newline="") as plain:
            yield from csv.DictReader(plain)


def write(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Writes rows as CSV with plain line ends."""
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def gib(mib: str) -> str:
    """Returns MiB as GiB without needless digits."""
    return f"{float(mib) / MIB_PER_GIB:.4g}" if mib else "0"


def aws_rows(prices: Path) -> Iterator[Row]:
    """Yields machines of one AWS region that have both a shape and a price."""
    shapes = {row["instance"]: row for row in read(prices / "aws_instance_resources.csv")}
    for row in read(next(iter(sorted(prices.glob("aws_us-east-1_on_demand_*.csv"))))):
        machine = row["instance"]
        if machine.partition(".")[0] in AWS_FAMILIES and machine in shapes:
            shape = shapes[machine]
            yield {
                "provider": "aws",
                "region": AWS_REGION,
                "continent": "north-america",
                "machine": machine,
                "cpu_cores": shape["cpu"],
                "memory_gib": gib(shape["memory"]),
                "gpu_model": shape["gpu-name"].upper(),
                "gpu_count": shape["gpu-count"] or "0",
                "gpu_memory_gib": gib(shape["gpu-memory"]),
                "network_mbps": shape["network-bandwidth"],
                "usd_per_hour": row["usd_per_hour"],
            }


def azure_rows(prices: Path) -> Iterator[Row]:
    """Yields machines of some Azure regions that have both a shape and a price."""
    shapes = {row["sku"]: row for row in read(prices / "azure_instance_resources.csv")}
    for row in read(next(iter(sorted(prices.glob("azure_on_demand_*.csv.gz"))))):
        if row["region"] in AZURE_REGIONS and row["sku"] in shapes:
            shape = shapes[row["sku"]]
            yield {
                "provider": "azure",
                "region": row["region"],
                "continent": AZURE_REGIONS[row["region"]],
                "machine": row["sku"],
                "cpu_cores": shape["cpu"],
                "memory_gib": shape["memory_gib"],
                "gpu_model": shape["gpu_model"],
                "gpu_count": shape["gpu_count"],
                "gpu_memory_gib": shape["gpu_memory_gib"],
                "network_mbps": "",
                "usd_per_hour": row["usd_per_hour"],
            }


def transfer_rows(prices: Path) -> Iterator[Row]:
    """Yields transfer costs out of the places of the example fleet."""
    for row in read(prices / "aws_transfer_costs.csv"):
        if row["src"] == AWS_REGION:
            yield {
                "provider": "aws",
                "source": row["src"],
                "destination": row["dst"],
                "usd_per_gb": row["cost"],
            }
    for row in read(prices / "azure_transfer_costs.csv"):
        if row["src_continent"] in set(AZURE_REGIONS.values()):
            yield {
                "provider": "azure",
                "source": row["src_continent"],
                "destination": row["dst_continent"],
                "usd_per_gb": row["usd_per_gb"],
            }


def main() -> None:
    """Writes every file of `examples/data/` but its README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data: Path = parser.parse_args().data
    prices = data / "placement" / "prices"
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    machines = sorted(
        (*aws_rows(prices), *azure_rows(prices)),
        key=lambda row: (row["provider"], row["region"], row["machine"]),
    )
    write(EXAMPLES / "machines.csv", COLUMNS, machines)
    write(
        EXAMPLES / "transfer-costs.csv",
        ("provider", "source", "destination", "usd_per_gb"),
        list(transfer_rows(prices)),
    )
    shutil.copyfile(data / "training" / "heart-disease.csv", EXAMPLES / "heart-disease.csv")
    shutil.copyfile(
        data / "forecasting" / "gpu-demand-hourly-by-model.csv.gz",
        EXAMPLES / "gpu-demand-hourly.csv.gz",
    )


if __name__ == "__main__":
    main()
