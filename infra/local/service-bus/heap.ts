/** A binary heap: the smallest item is taken first. */
export interface Heap<T> {
  peek(): T | undefined;
  push(item: T): void;
  pop(): T | undefined;
}

/** @param key items are compared by this number */
export function createHeap<T>(key: (item: T) => number): Heap<T> {
  const items: T[] = [];
  const keyAt = (index: number): number => {
    const item = items[index];
    return item === undefined ? Infinity : key(item);
  };
  const swap = (a: number, b: number): void => {
    [items[a], items[b]] = [items[b] as T, items[a] as T];
  };

  return {
    peek: () => items[0],
    push(item) {
      items.push(item);
      for (let index = items.length - 1; index > 0; ) {
        const parent = (index - 1) >> 1;
        if (keyAt(parent) <= keyAt(index)) return;
        swap(parent, index);
        index = parent;
      }
    },
    pop() {
      if (items.length < 2) return items.pop();
      const top = items[0];
      items[0] = items.pop() as T;
      for (let index = 0; ; ) {
        const left = 2 * index + 1;
        const child = keyAt(left + 1) < keyAt(left) ? left + 1 : left;
        if (keyAt(index) <= keyAt(child)) return top;
        swap(index, child);
        index = child;
      }
    },
  };
}
