#!/usr/bin/env python3
"""instructions.py COVERAGE - docs/instructions.md from what `oracle --coverage COVERAGE` wrote, on standard output.

    make oracle && build/release/tests/oracle/oracle --seconds 120 --coverage c.tsv && scripts/instructions.py c.tsv
"""
import collections
import csv
import sys

ORDER = ("x86-64 x87 MMX SSE SSE2 SSE3 SSSE3 SSE4.1 SSE4.2 POPCNT CX16 LZCNT BMI1 BMI2 MOVBE ADX AES PCLMULQDQ SHA AVX "
         "AVX2 FMA F16C VAES VPCLMULQDQ XSAVE XSAVEOPT XSAVEC CLFLUSH CLFLUSHOPT CLWB PREFETCHW").split()

HEAD = """# Instructions and how they are tested

Made by `scripts/instructions.py` from a run of the oracle (`tests/oracle`), which executes instructions one by one on
the host's own processor and on ours, from random states, and compares everything a program can see: general
registers, flags, x87, MXCSR, vector registers, memory, exceptions with error code and CR2. A *form* is an operation with its
kinds and sizes of operands, operand size and LOCK or REP; a *vector* is one execution. What the SDM leaves
undefined is not compared.

"""


def main():
    groups = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0, 0, 0]))
    left_out = collections.defaultdict(list)
    with open(sys.argv[1], newline="") as f:
        for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["vectors"] == "-":
                left_out[row["form"]].append(row["operation"])
                continue
            g = groups[row["feature"]][row["operation"]]
            for k, v in enumerate((1, int(row["vectors"]), int(row["faults"]), int(row["failed"]))):
                g[k] += v
    totals = [sum(g[k] for ops in groups.values() for g in ops.values()) for k in range(4)]
    missing = [op for ops in groups.values() for op, g in ops.items() if not g[1]]
    out = [HEAD + f"This run: {totals[0]} forms, {totals[1]} vectors, of which {totals[2]} fault; {totals[3]} differ.\n"]
    out.append("| feature | operations | forms | vectors | differ |\n|---|---|---|---|---|")
    names = sorted(groups, key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n))
    for n in names:
        ops = groups[n].values()
        out.append(f"| {n} | {len(ops)} | {sum(g[0] for g in ops)} | {sum(g[1] for g in ops)} | {sum(g[3] for g in ops)} |")
    if missing:
        out.append("\nNot on the host of this run, and so not compared: " + ", ".join(sorted(set(missing))) + ".")
    out.append("\n## By operation\n\nForms tested are in parentheses.")
    for n in names:
        out.append(f"\n**{n}**: " + ", ".join(f"{op} ({g[0]})" for op, g in sorted(groups[n].items())) + ".")
    out.append("\n## Left out, and why\n\nThese are tested by guest programs (`tests/guest`) and unit tests instead.\n\n"
               "| operations | why |\n|---|---|")
    for why, ops in left_out.items():
        out.append(f"| {', '.join(ops)} | {why} |")
    print("\n".join(out))


main()
