/** Groups of a customer's directory by the name that people know them by, which Entra lets several have. */
import * as z from "zod";
import { type Graph, literal, segment } from "./client.ts";

export interface Group {
  id: string;
  /** Whether a person is a direct member. */
  peopled: boolean;
}

export interface Groups {
  /** All of that name; reading them takes GroupMember.Read.All. */
  named(organization: string, displayName: string): Promise<Group[]>;
}

const idSchema = z.looseObject({ id: z.string() });
const membersSchema = z.looseObject({ value: z.array(z.looseObject({ "@odata.type": z.string().optional() })) });
/** One page says enough: a group whose first hundred members are no people is looked at by a person. */
const MEMBERS = 100;

export const createGroups = (graph: Graph): Groups => ({
  async named(organization, displayName) {
    const filter = `displayName%20eq%20${literal(displayName)}`;
    const found = await graph.list(organization, `/groups?$filter=${filter}&$select=id`, idSchema);
    return Promise.all(
      found.map(async ({ id }) => {
        const path = `/groups/${segment(id)}/members?$select=id&$top=${MEMBERS}`;
        const { value } = await graph.get(organization, path, membersSchema);
        return { id, peopled: value.some((member) => member["@odata.type"] === "#microsoft.graph.user") };
      }),
    );
  },
});
