/** The parts of rhea 3.0.5 that its own typings leave out or leave open. */
import rhea from "rhea";

export interface Link {
  readonly name: string;
  readonly connection: Connection;
  readonly session: Session;
  readonly credit: number;
  readonly remote: { attach?: Attach };
  readonly local: {
    attach: {
      max_message_size?: number;
      snd_settle_mode?: number;
      rcv_settle_mode?: number;
      properties?: Record<string, unknown>;
    };
  };
  readonly state: { local_open: boolean; open_requests: number };
  set_source(fields: { address: string | undefined; filter?: Record<string, unknown> }): void;
  set_target(fields: { address: string | undefined }): void;
  is_open(): boolean;
  open(): void;
  close(error?: AmqpError): void;
}

/** The client receives by it. */
export interface SendingLink extends Link {
  delivery_count: number;
  credit: number;
  _draining: boolean;
  _drained: boolean;
  _get_drain(): boolean;
  set_drained(drained: boolean): void;
  send(message: unknown): Delivery;
  /** Bytes as they are, in message format 0. */
  send(bytes: Buffer, tag: Buffer, format: 0): Delivery;
}

export interface AmqpError {
  condition: string;
  description: string;
}

/** What the other side said about a link when it opened it. */
export interface Attach {
  source?: { address?: string; filter?: Record<string, unknown> };
  target?: { address?: string };
  snd_settle_mode?: number;
  rcv_settle_mode?: number;
  properties?: Record<string, unknown>;
}

export interface Delivery {
  readonly link: Link;
  readonly remote_state?: Outcome;
  update(settled: boolean, state?: unknown): void;
}

/** How the client settles: fields of the outcomes rejected and modified. */
export interface Outcome {
  error?: { condition?: string; info?: Record<string, unknown> };
  undeliverable_here?: boolean;
  message_annotations?: Record<string, unknown>;
}

export interface Connection {
  readonly hostname?: string;
  each_link(action: (link: Link) => void): void;
}

export interface Session {
  readonly outgoing: { available(): number };
  readonly incoming: { on_transfer(frame: TransferFrame, link: Link): void };
  each_link(action: (link: Link) => void): void;
  each_sender(action: (link: SendingLink) => void): void;
}

export interface TransferFrame {
  performative: { message_format?: number };
}

/** What an event is about; which parts there are depends on the event. */
export interface EventContext {
  connection: Connection;
  session: Session;
  sender: SendingLink;
  receiver: Link;
  delivery: Delivery;
  message: Buffer;
  format: number;
  error?: unknown;
}

/** A request on `$cbs` or `$management`. */
export interface Request {
  message_id?: unknown;
  reply_to?: string;
  application_properties?: Record<string, unknown>;
  body?: unknown;
}

export const decodeRequest = (bytes: Buffer): Request => rhea.message.decode(bytes) as unknown as Request;

const outcomes = rhea.message as unknown as {
  accepted(): { described(): unknown };
  rejected(fields: { error: AmqpError }): { described(): unknown };
};
export const accepted = (): unknown => outcomes.accepted().described();
export const rejected = (error: AmqpError): unknown => outcomes.rejected({ error }).described();

/** A message's body as bytes, which is how an answer without any content is sent. */
export const emptyBody = (): unknown => rhea.message.data_section(Buffer.alloc(0));

/** rhea answers an attach as soon as the listener for it returns. This takes that back: `link.open()` answers it later. */
export function holdAttach({ state }: Link): void {
  state.local_open = false;
  state.open_requests = 0;
}

/** Not one of AMQP's message formats: rhea hands over a message of another format than 0 undecoded. */
const UNDECODED = 0x7fff_0001;

/** Makes a session hand over messages as the bytes that came. */
export function handOverUndecoded(session: Session): void {
  const { incoming } = session;
  const transfer = incoming.on_transfer.bind(incoming);
  incoming.on_transfer = (frame, link) => {
    frame.performative.message_format ||= UNDECODED;
    transfer(frame, link);
  };
}
