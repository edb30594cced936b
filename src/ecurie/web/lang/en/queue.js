export default {
  'queue.unfinished': { one: '{count} job waits or runs', other: '{count} jobs wait or run' },
};
