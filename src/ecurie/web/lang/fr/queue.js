export default {
  'queue.unfinished': { one: '{count} travail en attente ou en cours', other: '{count} travaux en attente ou en cours' },
};
