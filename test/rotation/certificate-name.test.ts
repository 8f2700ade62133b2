/**
 * The certificate's other name, played on two machines: whatever fails, at every moment each machine's name is one that Exchange Online
 * accepts; what fails is taken back, or goes on when it is tried again. All places are in test/faults.
 */
import { expect, test } from "vitest";
import { certificateSteps } from "../../functions/rotation/steps.ts";
import {
  certificate,
  countActivities,
  failedAt,
  FIRST,
  known,
  played,
  renamed,
  renaming,
  SECOND,
  spec,
  startState,
  untouched,
} from "../support/certificate-name.ts";
import { createRandom } from "../support/random.ts";

test("each machine is proven by a mail that came back by it, and the operation's steps are those that it named", async () => {
  const state = startState();
  await played(state, renaming);
  expect({ ...known(state), ends: state.ends, wrong: state.wrong }).toEqual({ ...renamed, ends: ["overlapping"], wrong: [] });
  const named = certificateSteps(spec, {}, { renaming: true }).map(({ name }) => name);
  expect(named).toEqual(expect.arrayContaining(state.steps));
});

test("wherever it fails, no name is shown that is not accepted, and another try ends it", async () => {
  const random = createRandom(Number(process.env["SEED"] ?? 1));
  const count = await countActivities();
  const { what, wrong, end } = await failedAt({
    at: 1 + Math.floor(random() * count),
    when: random() < 0.5 ? "before" : "after",
  });
  expect({ what, wrong, end }).toEqual({ what, wrong: [], end: renamed });
});

test("from halfway the way back leads to the name that it has", async () => {
  const halfway = startState();
  halfway.other = { name: SECOND, trusted: true, forClients: true, state: "accepted" };
  halfway.inbound.set(SECOND, true);
  halfway.outbound = "any";
  halfway.shown.set([...halfway.shown.keys()][0] ?? "", SECOND);
  const { renaming: _renaming, ...rest } = renaming;
  const back = { ...certificate(FIRST), earlier: [certificate(SECOND).thumbprint] };
  await played(halfway, { ...rest, emergency: true, back, other: halfway.other });
  expect({ ...known(halfway), ends: halfway.ends, wrong: halfway.wrong }).toEqual({ ...untouched, ends: ["over"], wrong: [] });
});
