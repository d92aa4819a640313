#!/usr/bin/env node
import module from 'node:module';
import { join } from 'node:path';
import { BUILD_ID } from '../base/build.ts';
import { keepNewSpaceSmall } from '../runtime/new-space.ts';

/*
 * Where the built program starts: before anything is loaded that an old node could not even read. What is loaded
 * is compiled once a build and kept beside it; where that place cannot be written nothing is kept.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(
    `etcd-mesos needs Node.js 22.22 or newer; ${process.execPath} is ${process.version}. ` +
      'Give it a newer one, or use ./scripts/up, which brings its own.\n',
  );
  process.exit(1);
}
keepNewSpaceSmall();
if (BUILD_ID !== 'source') module.enableCompileCache(join(import.meta.dirname, '.compile-cache'));
await import('./main.ts');
