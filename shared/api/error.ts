/** The API's error object: the same shape in answers, in an operation's status and in its steps. */
import * as z from "zod";

export const errorDetailSchema = z.object({
  code: z.string(),
  message: z.string(),
  target: z.string().optional(),
  get details() {
    return z.array(errorDetailSchema).optional();
  },
});

export const errorResponseSchema = z.object({ error: errorDetailSchema });

export type ErrorResponse = z.output<typeof errorResponseSchema>;
