/** The conformance suite's table: one row a kind. The compiler asks for each of them, and for no other. */
import type { ActualOf, DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Row } from "./conformance.ts";
import { applicationRows } from "./rows-applications.ts";
import { certificateRows } from "./rows-certificates.ts";
import { dnsRows } from "./rows-dns.ts";
import { gatewayRows, groundRows } from "./rows-azure.ts";
import { microsoft365Rows } from "./rows-microsoft365.ts";
import { monitoringRows } from "./rows-monitoring.ts";
import { privilegeRows } from "./rows-privilege.ts";
import { sqlRows } from "./rows-sql.ts";
import { storageRows } from "./rows-storage.ts";

export type Kind = keyof Resources;
export type RowOf<One extends Kind> = Row<DesiredOf<Resources[One]>, ActualOf<Resources[One]>>;

export const rows: { [One in Kind]: RowOf<One> } = {
  ...groundRows,
  ...gatewayRows,
  ...sqlRows,
  ...storageRows,
  ...monitoringRows,
  ...certificateRows,
  ...dnsRows,
  ...applicationRows,
  ...privilegeRows,
  ...microsoft365Rows,
};
