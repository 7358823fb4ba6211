// SPDX-License-Identifier: MIT

/**
 * An object with other members in some places.
 *
 * @param replace gives the member to be seen; methods are bound, as they have private fields to reach
 */
export function withMembers<T extends object>(
  object: T,
  replace: (name: string, value: unknown) => unknown,
): T {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      return replace(String(name), typeof value === "function" ? value.bind(target) : value);
    },
  });
}
