/** A page of a list: items and, while there are more, the link to the next page. */
import * as z from "zod";

export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ value: z.array(item), nextLink: z.url().optional().describe("Absolute and opaque; absent on the last page.") });

export const pageQuery = {
  maxpagesize: z.coerce.number().int().min(1).max(200).optional().describe("At most this many items a page; 50 when left out."),
  skipToken: z.string().max(2048).optional().describe("Part of nextLink; not for making yourself."),
};
