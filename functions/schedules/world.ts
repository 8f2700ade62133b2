/** What schedules need to work. */
import type { ApiWorld } from "../../shared/api/world.ts";

export interface SchedulesWorld extends ApiWorld {
  /** NCRONTAB by the setting's name. */
  schedules: Readonly<Record<string, string>>;
}
