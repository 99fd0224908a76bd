import type { ParseArgsOptionsConfig } from "node:util";

/**
 * What becomes of an option of rsync.
 * - `own`: mirrorfleet does it in its own way, or it changes nothing in the tree;
 * - `read`: rsync-command.ts takes its meaning over;
 * - `keeps`: it protects files from deletion in a way that mirrorfleet cannot, so that nothing is deleted;
 * - `differs`: it is left out, and the tree may come out otherwise: `why` says how;
 * - `refused`: without it the tree would lose something, or be another: no project is made.
 */
type Meaning = "own" | "read" | "keeps" | "differs" | "refused";
type Option = { meaning: Meaning; why?: string; short?: string; value?: true };

const group = (meaning: Meaning, names: string, why?: string): [string, Option][] =>
  names.split(" ").map((text) => {
    const [name = "", short] = text.replace("=", "").split(",");
    return [
      name,
      {
        meaning,
        ...(short && { short }),
        ...(why && { why }),
        ...(text.includes("=") && { value: true as const }),
      },
    ];
  });

const ids = "files belong to the agent's user, whoever owns them at the source";
const compares = "mirrorfleet compares size and time of modification";

/** Every option of rsync 3.4, and the older names of some; `=` marks those with a value, `,x` the short name. */
export const rsyncOptions = new Map<string, Option>([
  ...group(
    "own",
    "verbose,v info= debug= stderr= quiet,q no-motd inc-recursive i-r no-inc-recursive no-i-r inplace mkpath sparse,S preallocate whole-file,W no-whole-file no-W checksum-choice= cc= block-size=,B force max-alloc= partial partial-dir= delay-updates temp-dir=,T fuzzy,y compress,z old-compress new-compress compress-choice= zc= compress-level= zl= compress-threads= zt= skip-compress= old-args secluded-args,s protect-args trust-sender sockopts= blocking-io outbuf= stats 8-bit-output,8 human-readable,h progress P,P itemize-changes,i out-format= log-file= log-file-format= contimeout= fsync protocol= checksum-seed= ignore-errors open-noatime no-human-readable no-h no-compress no-z no-partial no-progress no-verbose no-v links,l perms,p times,t no-inplace no-sparse no-S no-delay-updates no-timeout no-contimeout no-iconv no-o no-owner no-g no-group no-D no-devices no-specials no-fuzzy no-motd",
  ),
  ...group(
    "read",
    "archive,a recursive,r no-r no-recursive hard-links,H no-hard-links no-H del delete delete-before delete-during delete-delay delete-after no-delete delete-excluded max-delete= timeout= stop-after= time-limit= filter=,f exclude= exclude-from= include= include-from= port= password-file= bwlimit= ipv4,4 ipv6,6 rsh=,e dry-run,n list-only version,V safe-links delete-missing-args from0,0",
  ),
  ...group(
    "keeps",
    "backup,b backup-dir= suffix=",
    "the old rsync kept what it deleted: set MIRRORFLEET_QUARANTINES on the hosts (deleted files wait there), then rsync.delete to true",
  ),
  ...group(
    "keeps",
    "cvs-exclude,C F,F",
    "rules that lie in files of the tree, or in rsync itself, are not read, and what they protect would be deleted: name it in rsync.filters, then set rsync.delete to true",
  ),
  ...group(
    "keeps",
    "one-file-system,x",
    "file systems that are mounted within the tree were left alone",
  ),
  ...group(
    "keeps",
    "copy-links,L copy-unsafe-links copy-dirlinks,k munge-links",
    "links come as links, so that what lies behind them would be deleted here: compare the tree, then set rsync.delete to true",
  ),
  ...group(
    "differs",
    "owner,o group,g devices specials D,D numeric-ids usermap= groupmap= chown= super fake-super copy-as=",
    ids,
  ),
  ...group("differs", "acls,A xattrs,X atimes,U crtimes,N executability,E", "is not taken over"),
  ...group("differs", "chmod=", "permissions are those of the source"),
  ...group(
    "differs",
    "omit-dir-times,O omit-link-times,J no-perms no-p no-times no-t",
    "times and permissions are those of the source",
  ),
  ...group("differs", "checksum,c ignore-times,I size-only modify-window=,@", compares),
  ...group("differs", "max-size= min-size=", "files of every size come"),
  ...group("differs", "prune-empty-dirs,m", "empty directories come, too"),
  ...group("differs", "address=", "the agent connects from the address that the system chooses"),
  ...group(
    "differs",
    "remote-option=,M",
    "nothing but the tree's own options is sent to the source",
  ),
  ...group("differs", "rsync-path=", "the source is an rsync daemon, which runs by itself"),
  ...group(
    "differs",
    "early-input= drop-D insecure-links no-implied-dirs old-dirs old-d ignore-missing-args",
    "is not needed",
  ),
  ...group(
    "refused",
    "update,u ignore-existing existing ignore-non-existing",
    "files that are here would be overwritten, or come, which the old rsync left: keep this one in cron, or mirror into another path",
  ),
  ...group(
    "refused",
    "append append-verify",
    "files are compared as a whole: check that the tree wants no --append, and take the option out",
  ),
  ...group(
    "refused",
    "keep-dirlinks,K",
    "directories here are links to other disks, which an rsync without it replaces: make the disks mirror roots, and projects of what lies on them",
  ),
  ...group("refused", "remove-source-files", "mirrorfleet never changes a source"),
  ...group(
    "refused",
    "relative,R files-from= dirs,d no-dirs",
    "only whole trees are mirrored: name the directory, with a slash at its end, and exclude the rest",
  ),
  ...group(
    "refused",
    "compare-dest= copy-dest= link-dest=",
    "it makes a copy beside another (a snapshot), not a mirror: leave it in cron",
  ),
  ...group(
    "refused",
    "write-batch= only-write-batch= read-batch= stop-at= iconv= copy-devices write-devices confine-root=",
    "mirrorfleet has nothing like it: leave it in cron",
  ),
]);

/** The same for `parseArgs`, which reads them as rsync's popt does. */
export const parseOptions: ParseArgsOptionsConfig = Object.fromEntries(
  [...rsyncOptions].map(([name, { short, value }]) => [
    name,
    {
      type: value ? "string" : "boolean",
      multiple: true,
      ...(short && { short }),
    },
  ]),
);
