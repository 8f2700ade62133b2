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

test("two names stand beside each other, and each is found, changed and taken away as the one that is meant", async () => {
  const organization = await world.organization();
  const caller = await world.exchange(organization);
  const [{ DomainName = "" } = {}] = await caller.list("Get-AcceptedDomain", {});
  const [first, second] = [`gateway.${String(DomainName)}`, `mail.${String(DomainName)}`];
  const standing = async () =>
    (await caller.list("Get-InboundConnector", {})).map(({ TlsSenderCertificateName: name, Enabled }) => [name, Enabled]);
  await world.ensure("inboundConnector", { owner, organization, certificateName: first });
  const beside = { owner, organization, certificateName: second, beside: first };
  await world.ensure("inboundConnector", beside);
  expect(Object.fromEntries(await standing())).toEqual({ [first]: true, [second]: true });
  const former = { owner, organization, certificateName: first, beside: second, enabled: false };
  await world.ensure("inboundConnector", former);
  expect(Object.fromEntries(await standing())).toEqual({ [first]: false, [second]: true });
  await world.resources.inboundConnector.remove(former);
  await world.resources.inboundConnector.remove(former);
  expect(await standing()).toEqual([[second, true]]);
  // Once alone it is the one, whatever it is called.
  const found = await world.resources.inboundConnector.observe({ owner, organization, certificateName: second });
  expect(found).toMatchObject({ state: "present", actual: { name: "FROM Azure VM to M365 by certificate" } });
});
