/** Merges sorted streams of changes over a sorted snapshot, one record of each in memory at a time. */

interface Identified {
  id: string;
}

/** Sorted by id, with the changes of one object in the order in which they were told. */
export const sortedById = <Change extends Identified>(changes: Change[]): Change[] =>
  changes.toSorted((one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0));

/** Later streams are later in time. Gives each record that is left, sorted by id. */
export async function* merged<Record extends Identified, Change extends Identified>(
  snapshot: AsyncIterable<Record>,
  changes: AsyncIterable<Change>[],
  changed: (before: Record | undefined, change: Change) => Record | undefined,
): AsyncGenerator<Record> {
  const base = await head(snapshot);
  const heads = await Promise.all(changes.map(head));
  for (;;) {
    let id = base.value?.id;
    for (const { value } of heads) if (value !== undefined && (id === undefined || value.id < id)) id = value.id;
    if (id === undefined) return;
    let record: Record | undefined;
    if (base.value?.id === id) {
      record = base.value;
      await base.next();
    }
    for (const one of heads)
      while (one.value?.id === id) {
        record = changed(record, one.value);
        await one.next();
      }
    if (record !== undefined) yield record;
  }
}

interface Head<Item> {
  value: Item | undefined;
  next(): Promise<void>;
}

async function head<Item>(items: AsyncIterable<Item>): Promise<Head<Item>> {
  const iterator = items[Symbol.asyncIterator]();
  const self: Head<Item> = {
    value: undefined,
    async next() {
      const { done, value } = await iterator.next();
      self.value = done === true ? undefined : value;
    },
  };
  await self.next();
  return self;
}
