/** Page after page of a store's list, to its end. */
export async function* pages<Item>(
  page: (after?: string) => Promise<{ items: Item[]; next?: string }>,
): AsyncGenerator<Item[], void> {
  for (let after: string | undefined; ; ) {
    const { items, next } = await page(after);
    yield items;
    if (next === undefined) return;
    after = next;
  }
}

/** The same, thing by thing. */
export async function* everyOne<Item>(
  page: (after?: string) => Promise<{ items: Item[]; next?: string }>,
): AsyncGenerator<Item, void> {
  for await (const items of pages(page)) yield* items;
}
