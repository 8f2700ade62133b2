/** AMQP 1.0 values as rhea reads and writes them. */
import rhea, { type Typed } from "rhea";

export const { types } = rhea;

/** A value with its AMQP type; rhea's name for it. */
export type { Typed };

/** Without its type: text, number, Date, Buffer, list or map. */
export const plain = (value: unknown): unknown => types.unwrap(value);

export interface Reader {
  readonly position: number;
  read(): Typed;
  remaining(): number;
}

export const readerOf = (bytes: Buffer): Reader => new codec.Reader(bytes);

export const described = (code: number, value: Typed): Typed => types.described_nc(types.wrap_ulong(code), value);

/** A described value's bytes: for example one section of a message. */
export function encodeDescribed(code: number, value: Typed): Buffer {
  const writer = new codec.Writer(Buffer.alloc(256));
  writer.write(described(code, value));
  return writer.toBuffer();
}

export const list = (values: Typed[]): Typed => codec.List32(values);
/** Keys and values in turn. */
export const map = (entries: Typed[]): Typed => codec.Map32(entries);
export const nothing = (): Typed => codec.Null();
export const array = (values: unknown[], typeCode: number): Typed => types.wrap_array(values, typeCode, undefined);

export const TYPE_CODE = { long: 0x81, timestamp: 0x83 };

/** Of a length that rhea would shorten: eight bytes, as an array's items need it. */
export const longBytes = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
};

const TICKS_UNTIL_1970 = 621_355_968_000_000_000n;

/** .NET's time: units of 100 ns since the year 1. */
export const ticks = (milliseconds: number): Typed => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(Math.trunc(milliseconds)) * 10_000n + TICKS_UNTIL_1970);
  return types.wrap_long(bytes);
};

/** rhea gives long integers as numbers, or as eight bytes when they may not fit one. */
export const numberOf = (value: unknown): number =>
  Buffer.isBuffer(value) ? Number(value.readBigInt64BE()) : Number(plainOne(value) ?? 0);

export const numbersOf = (value: unknown): number[] => itemsOf(value).map(numberOf);

export const uuidText = (bytes: Buffer): string => rhea.uuid_to_string(bytes);
export const uuidBytes = (text: string): Buffer => rhea.string_to_uuid(text);
export const uuidsOf = (value: unknown): string[] => itemsOf(value).map((item) => uuidText(plainOne(item) as Buffer));

const plainOne = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "value" in value ? value.value : value;
const itemsOf = (value: unknown): unknown[] => {
  const items = plainOne(value);
  return Array.isArray(items) ? items : [];
};

/** What rhea's typings leave out. */
const codec = types as unknown as {
  Reader: new (bytes: Buffer) => Reader;
  Writer: new (bytes: Buffer) => { write(value: Typed): void; toBuffer(): Buffer };
  List32(values: Typed[]): Typed;
  Map32(entries: Typed[]): Typed;
  Null(): Typed;
};
