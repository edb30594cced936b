/** A request as the server describes it, as a body for another one like it. */

/**
 * The fields that a body may hold: what is null was not used, and a strength without its pictures is refused.
 * @param {object} request `metadata` of an image, or `request` of a job
 */
export function repeatable(request) {
  const { ip_strength: strength, ip_adapter: adapter, ...rest } = request;
  const body = strength > 0 ? { ...rest, ip_strength: strength, ip_adapter: adapter } : rest;
  return withoutNulls({ ...body, hires: body.hires && withoutNulls(body.hires) });
}

const withoutNulls = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
