/** What `scripts/build.ts` puts in the place of the constant below; absent when the sources run as they are. */
declare const __ETCD_MESOS_BUILD__: string | undefined;

/** The version of this release, the same as in package.json (a test compares them). */
export const VERSION = '0.1.0';

/**
 * Tells builds of one version apart: the first 12 hex digits of a hash over the sources and the lockfile;
 * `source` when nothing was built.
 */
export const BUILD_ID = typeof __ETCD_MESOS_BUILD__ === 'string' ? __ETCD_MESOS_BUILD__ : 'source';
