/** What the last run of each adapter reported. */
import { model } from './form.js';
import { jobs } from './jobs.js';
import { t } from './i18n.js';
import { computed } from './ui.js';

/** By adapter, of the newest job of this window with the model in use. */
const reports = computed(() => {
  const found = new Map();
  for (const job of jobs.value) {
    if (job.request.model !== model.value?.id) continue;
    for (const report of job.result?.report.adapters ?? []) {
      if (!found.has(report.name)) found.set(report.name, report);
    }
  }
  return found;
});

/** @returns {string[]} */
export function warningsOf(id) {
  const report = reports.value.get(id);
  if (!report) return [];
  const { unmatched } = report;
  const left = unmatched ? [t('adapters.unmatched', { count: unmatched.keys + unmatched.modules })] : [];
  return [...report.warnings, ...left];
}
