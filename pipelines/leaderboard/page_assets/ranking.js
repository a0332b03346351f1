// What a column is judged by: its axis, and ranks among those entries alone that were on the same images.

/** The figure of an entry in a column, or undefined; a mean over benchmarks says over how many of them. */
function figureIn(entry, column) {
  if (column.benchmark) return meanOf(entry, column.benchmark);
  const there = column.over.filter((benchmark) => isWhole(entry, benchmark));
  if (!there.length) return undefined;
  const value = mean(there.map((benchmark) => meanOf(entry, benchmark).value));
  const elsewhere = there.some((benchmark) => isOnOtherImages(entry, benchmark));
  return { value, benchmarks: there.length, elsewhere };
}

/** Whether an entry's figure on a benchmark is the mean over all its categories. */
function isWhole(entry, benchmark) {
  const figure = meanOf(entry, benchmark);
  const categories = Object.keys(lookup(benchmark.cells, entry.name, "categories") ?? {}).length;
  return figure !== undefined && (figure.categories ?? categories) === categories;
}

function testSet(entry, benchmark) {
  return lookup(benchmark.cells, entry.name, "test_set") ?? null;
}

function isOnOtherImages(entry, benchmark) {
  return testSet(entry, benchmark) !== (benchmark.test_set ?? null);
}

function pairKey(a, b, benchmark) {
  return JSON.stringify([a, b, benchmark]);
}

/** Pairs of runs that were compared at the chosen figure, which needs exactly the same images. */
function comparedPairs() {
  const pairs = board.comparisons.filter((pair) => pair.group === state.group && pair.metric === state.metric);
  return new Set(pairs.map((pair) => pairKey(pair.a, pair.b, pair.benchmark)));
}

/** What the rows of a column are judged by: figures by entry, the axis of the strips, ranks, and who is best. */
function columnFacts(column, entries, compared) {
  const figures = entries.map((entry) => [entry, figureIn(entry, column)]).filter(([, figure]) => figure);
  // Figures of untrained weights mean nothing: they stretch no axis and are nobody's rivals.
  const trained = figures.filter(([entry]) => !entry.untrained);
  const ranks = ranksOf(trained, column.over ?? [column.benchmark], compared);
  return {
    figures: new Map(figures.map(([entry, figure]) => [entry.name, figure])),
    axis: commonAxis(trained.map(([, figure]) => figure)),
    ranks,
    best: new Set(
      [...ranks].filter(([, rank]) => rank === 1 && new Set(ranks.values()).size > 1).map(([name]) => name),
    ),
  };
}

/**
 * Entry -> place by the digits shown, of those that have every benchmark whole and were on the same images: on the
 * same published test set, or compared in pairs. Of several such groups, the one with the most runs is ranked.
 */
function ranksOf(figures, benchmarks, compared) {
  const groups = [];
  for (const [entry, figure] of figures) {
    if (!benchmarks.every((benchmark) => isWhole(entry, benchmark))) continue;
    const isRival = (other) =>
      benchmarks.every((benchmark) => {
        const [one, set] = [testSet(other, benchmark), testSet(entry, benchmark)];
        return (one !== null && one === set) || compared.has(pairKey(other.name, entry.name, benchmark.name));
      });
    const group = groups.find((each) => isRival(each[0].entry));
    const rival = { entry, value: Number(percent(figure.value)) };
    if (group) group.push(rival);
    else groups.push([rival]);
  }
  const runs = (group) => group.filter(({ entry }) => entry.kind === "run").length;
  const ranked = groups.reduce((most, group) => (runs(group) > runs(most) ? group : most), groups[0] ?? []);
  return new Map(
    ranked.map(({ entry, value }) => [entry.name, 1 + ranked.filter((other) => other.value > value).length]),
  );
}

/** From the lowest to the highest end of some figures; null where they have no width. */
function commonAxis(figures) {
  const ends = figures.flatMap((figure) => [figure.value, ...(hasInterval(figure) ? [figure.low, figure.high] : [])]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  return high > low ? { low, high } : null;
}
