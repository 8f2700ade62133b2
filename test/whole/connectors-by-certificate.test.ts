/** The conformance suite over the forms of the connectors that name the gateway's certificate. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { conformance, type Row } from "../resources/conformance.ts";
import { egressIps, owner, startWorld, type World } from "../resources/ground.ts";
import { connectorsByCertificate } from "../resources/rows-certificates.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of connectorsByCertificate) conformance(kind, row as unknown as Row<object, object>, () => world);

test("a certificate of somebody else's domain is refused before anything is written", async () => {
  const organization = await world.organization();
  const desired = { owner, organization, certificateName: "gateway.fabrikam.example" };
  await expect(world.ensure("inboundConnector", desired)).rejects.toMatchObject({
    code: "CertificateDomainNotAccepted",
    transient: false,
    target: "gateway.certificate.name",
  });
  expect(await (await world.exchange(organization)).list("Get-InboundConnector", {})).toEqual([]);
});

test("the two forms stand beside each other, and going takes only the one that is meant", async () => {
  const organization = await world.organization();
  const caller = await world.exchange(organization);
  const [{ DomainName = "" } = {}] = await caller.list("Get-AcceptedDomain", {});
  const byAddress = { owner, organization, egressIps };
  const byCertificate = { owner, organization, certificateName: `gateway.${String(DomainName)}` };
  await world.ensure("inboundConnector", byAddress);
  await world.ensure("inboundConnector", byCertificate);
  expect(await caller.list("Get-InboundConnector", {})).toHaveLength(2);
  await world.resources.inboundConnector.remove(byCertificate);
  await world.resources.inboundConnector.remove(byCertificate);
  expect((await caller.list("Get-InboundConnector", {})).map(({ SenderIPAddresses }) => SenderIPAddresses)).toEqual([egressIps]);
  await world.ensure("inboundConnector", byCertificate);
  await world.resources.inboundConnector.remove(byAddress);
  expect((await caller.list("Get-InboundConnector", {})).map(({ TlsSenderCertificateName }) => TlsSenderCertificateName)).toEqual(
    [byCertificate.certificateName],
  );
});
