import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ArchivePlace } from '../runtime/archive-place.ts';

/** What every command on an archive is told, as commander gives it. */
export interface ArchiveFlags extends ArchivePlace {
  readonly json?: true;
}

/** Adds the options that say where an archive is. */
export function ofArchive(command: Command): Command {
  return command
    .addOption(
      new Option('--archive <place>', 'a directory, or s3://bucket/prefix')
        .env('ETCD_MESOS_ARCHIVE')
        .argParser(nameOf)
        .makeOptionMandatory(),
    )
    .option('--s3-endpoint <url>', 'an S3 that is not Amazon’s, as https://s3.example.com:9000')
    .option('--s3-region <region>', 'the region of the bucket', 'us-east-1')
    .option('--s3-path-style', 'the bucket stands in the path, not in the host’s name')
    .option('--s3-ca-file <file>', 'certificates of who signed the server’s, PEM')
    .option('--key-file <file>', 'the key of an encrypted archive, 64 hex digits')
    .option('--json', 'print everything that is known, as JSON');
}

/** The name of a place: an empty one would be that of the directory in which one is. */
export function nameOf(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It must not be empty.');
}

/** The value of `--epoch`. */
export function epochNumber(text: string): number {
  if (/^[1-9]\d{0,7}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number from 1 on.');
}
