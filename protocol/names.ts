import { z } from "zod";

/** Name of a project: also a file name and part of a URL. */
export const projectName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,62}$/,
    'must be 1 to 63 characters of a-z, 0-9, ".", "_" or "-", begin with a letter or digit and hold no "..": for example "debian-security"',
  );

/** Name of a host in the fleet. */
export const hostName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]|\.(?!\.)){0,62}$/,
    'must be 1 to 63 characters of a-z, 0-9, "." or "-", begin with a letter or digit and hold no "..": for example "ftp-nyc"',
  );

const dnsName =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?$/;

/** True for a host that may stand in a source: a DNS name, an IPv4 or an IPv6 address. */
export function isNetworkHost(text: string): boolean {
  return dnsName.test(text) || z.ipv6().safeParse(text).success;
}

/** DNS name, IPv4 or IPv6 address (without brackets). */
export const networkHost = z
  .string()
  .refine(
    isNetworkHost,
    'must be a DNS name, an IPv4 or an IPv6 address: for example "ftp.example.org"',
  );

/** An address of a host as its peers see it: IP address, CIDR range or DNS name. */
export const hostAddress = z
  .string()
  .refine(
    (text) =>
      isNetworkHost(text) ||
      z.cidrv4().safeParse(text).success ||
      z.cidrv6().safeParse(text).success,
    'must be an IP address, a CIDR range or a DNS name: for example "192.0.2.10" or "2001:db8::/64"',
  );

export const port = z
  .int("must be a whole number from 1 to 65535, not a string: for example 873")
  .min(1, "must be from 1 to 65535")
  .max(65535, "must be from 1 to 65535");

// Neither globs (an rsync daemon expands them), nor shell or URL syntax, nor white space.
const pathSegment =
  /^[A-Za-z0-9_+@=,:^~][A-Za-z0-9._+@=,:^~-]*$|^\.[A-Za-z0-9_+@=,:^~-][A-Za-z0-9._+@=,:^~-]*$/;

/** True for a relative path of one or more plain segments. */
export function isRelativePath(text: string): boolean {
  return (
    text.length <= 1024 &&
    text.split("/").every((segment) => segment.length <= 255 && pathSegment.test(segment))
  );
}

/** Where a project lies below a mirror root: relative, no "..", no leading "-". */
export const relativePath = z
  .string()
  .refine(
    isRelativePath,
    'must be a relative path of plain segments (letters, digits, "._+@=,:^~-"; none empty, "." or "..", none that begins with "-"): for example "pub/debian"',
  );

/** Absolute path of a mirror root, as its host says it. */
export const rootPath = z
  .string()
  .max(1024)
  .regex(/^\/[^\p{Cc}]+$/u, 'must be an absolute path other than "/"');

/** Name of an rsync daemon's module. */
export const moduleName = z
  .string()
  .regex(
    /^[A-Za-z0-9_](?:[A-Za-z0-9_+-]|\.(?!\.)){0,126}$/,
    'must be the name of an rsync module: letters, digits, "._+-", not beginning with "-": for example "debian"',
  );
