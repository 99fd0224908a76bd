/** Why change lists cannot be used; the whole tree is scanned then. */
export class ListsUnusable extends Error {}
