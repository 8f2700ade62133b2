/**
 * PKCS #12 files as Key Vault gives them out: one certificate, its chain, its key, no password (RFC 7292; the MAC's key is derived as in
 * its appendix B). Of files that come in only those without a password are read.
 */
import { createHash, createHmac, createPrivateKey, randomBytes, X509Certificate } from "node:crypto";

/** DER: certificates, the one of the key first, and the key as PKCS #8. */
export interface Contents {
  certificates: Buffer[];
  key: Buffer;
}

const oids = {
  data: "2a864886f70d010701",
  keyBag: "2a864886f70d010c0a0101",
  certBag: "2a864886f70d010c0a0103",
  x509Certificate: "2a864886f70d01091601",
  localKeyId: "2a864886f70d010915",
  sha256: "608648016503040201",
} as const;

const SEQUENCE = 0x30;
const SET = 0x31;
const OCTETS = 0x04;
const INTEGER = 0x02;
const OID = 0x06;
const EXPLICIT = 0xa0;
const NULL = Buffer.from([5, 0]);
const MAC_ITERATIONS = 2048;
const HASH_BLOCK = 64;

export function writePkcs12({ certificates, key }: Contents): Buffer {
  const [leaf = Buffer.alloc(0), ...chain] = certificates;
  const keyId = attributes(createHash("sha1").update(leaf).digest());
  const certBag = (der: Buffer, ...more: Buffer[]): Buffer =>
    tlv(
      SEQUENCE,
      oid(oids.certBag),
      tlv(EXPLICIT, tlv(SEQUENCE, oid(oids.x509Certificate), tlv(EXPLICIT, tlv(OCTETS, der)))),
      ...more,
    );
  const certBags = tlv(SEQUENCE, certBag(leaf, keyId), ...chain.map((der) => certBag(der)));
  const keyBags = tlv(SEQUENCE, tlv(SEQUENCE, oid(oids.keyBag), tlv(EXPLICIT, key), keyId));
  const safes = tlv(SEQUENCE, content(certBags), content(keyBags));
  const salt = randomBytes(8);
  const digest = createHmac("sha256", macKey(salt)).update(safes).digest();
  const digestInfo = tlv(SEQUENCE, tlv(SEQUENCE, oid(oids.sha256), NULL), tlv(OCTETS, digest));
  const iterations = Buffer.alloc(2);
  iterations.writeUInt16BE(MAC_ITERATIONS);
  const mac = tlv(SEQUENCE, digestInfo, tlv(OCTETS, salt), tlv(INTEGER, iterations));
  return tlv(SEQUENCE, tlv(INTEGER, Buffer.from([3])), content(safes), mac);
}

/** Undefined where it isn't one, has a password, or lacks a key that fits a certificate. */
export function readPkcs12(file: Buffer): Contents | undefined {
  try {
    const bags = safesOf(file).flatMap((safe) => bagsIn(safe));
    const [key] = bags.filter(({ kind }) => kind === oids.keyBag).map(({ value }) => value);
    const certificates = bags
      .filter(({ kind }) => kind === oids.certBag)
      .map(({ value }) => octetsOf(children(children(value)[1] ?? EMPTY)[0] ?? EMPTY));
    return key && ordered(certificates, key);
  } catch {
    return undefined;
  }
}

/** A certificate (and its chain) with its key as PEM, in any order. */
export function readPem(text: string): Contents | undefined {
  try {
    const parts = [...text.matchAll(/-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----/g)];
    const [key] = parts.filter(([, label]) => label?.endsWith("PRIVATE KEY"));
    const certificates = parts.filter(([, label]) => label === "CERTIFICATE").map(([pem]) => new X509Certificate(pem).raw);
    return key && ordered(certificates, createPrivateKey(key[0]).export({ type: "pkcs8", format: "der" }));
  } catch {
    return undefined;
  }
}

function ordered(certificates: Buffer[], key: Buffer): Contents | undefined {
  const privateKey = createPrivateKey({ key, format: "der", type: "pkcs8" });
  const leaf = certificates.find((der) => new X509Certificate(der).checkPrivateKey(privateKey));
  return leaf && { certificates: [leaf, ...certificates.filter((der) => der !== leaf)], key };
}

/** RFC 7292, appendix B.2, for a password that is empty: one round gives as many bytes as are needed. */
function macKey(salt: Buffer): Buffer {
  const purpose = Buffer.alloc(HASH_BLOCK, 3);
  const salted = Buffer.alloc(HASH_BLOCK);
  for (let at = 0; at < HASH_BLOCK; at++) salted[at] = salt[at % salt.length] ?? 0;
  let hash = createHash("sha256").update(purpose).update(salted).digest();
  for (let round = 1; round < MAC_ITERATIONS; round++) hash = createHash("sha256").update(hash).digest();
  return hash;
}

function safesOf(file: Buffer): Buffer[] {
  const authSafe = children(children(file)[1] ?? EMPTY);
  const safes = octetsOf(children(authSafe[1] ?? EMPTY)[0] ?? EMPTY);
  return children(safes).flatMap((info) => {
    const [kind, explicit] = children(info);
    // Anything else is encrypted.
    return kind && explicit && body(kind).toString("hex") === oids.data ? [octetsOf(children(explicit)[0] ?? EMPTY)] : [];
  });
}

const bagsIn = (safe: Buffer): { kind: string; value: Buffer }[] =>
  children(safe).map((bag) => {
    const [kind = EMPTY, explicit = EMPTY] = children(bag);
    return { kind: body(kind).toString("hex"), value: children(explicit)[0] ?? EMPTY };
  });

const EMPTY = Buffer.from([5, 0]);

const oid = (hex: string): Buffer => tlv(OID, Buffer.from(hex, "hex"));
const content = (inner: Buffer): Buffer => tlv(SEQUENCE, oid(oids.data), tlv(EXPLICIT, tlv(OCTETS, inner)));
const attributes = (keyId: Buffer): Buffer => tlv(SET, tlv(SEQUENCE, oid(oids.localKeyId), tlv(SET, tlv(OCTETS, keyId))));

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const inner = Buffer.concat(parts);
  const { length } = inner;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), inner]);
  const bytes = Buffer.from(length.toString(16).padStart(length > 0xff ? (length > 0xffff ? 6 : 4) : 2, "0"), "hex");
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length]), bytes, inner]);
}

function headerOf(der: Buffer, at: number): { start: number; end: number } {
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const bytes = first & 0x7f;
  const start = at + 2 + bytes;
  return { start, end: start + der.readUIntBE(at + 2, bytes) };
}

const body = (der: Buffer): Buffer => {
  const { start, end } = headerOf(der, 0);
  return der.subarray(start, end);
};
/** What an OCTET STRING holds. */
const octetsOf = body;

function children(der: Buffer): Buffer[] {
  const inner = body(der);
  const found: Buffer[] = [];
  for (let at = 0; at < inner.length; ) {
    const { end } = headerOf(inner, at);
    if (end > inner.length) throw new Error("the file ends before its contents do");
    found.push(inner.subarray(at, end));
    at = end;
  }
  return found;
}
