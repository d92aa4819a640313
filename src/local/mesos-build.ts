/** The Mesos whose recorded behaviour the local one has, and what that one says of its making. */
export const MESOS_VERSION = '1.12.0';
export const MESOS_BUILD = {
  version: MESOS_VERSION,
  git_sha: '8c2cf59b20ca3e5871f3d87145a04cfcf94db11d',
  git_branch: 'refs/heads/master',
  build_date: '2026-11-23 00:41:10 UTC',
  build_time: 1_795_394_470,
  build_user: '',
} as const;

export const MASTER_CAPABILITIES = ['AGENT_UPDATE', 'AGENT_DRAINING', 'QUOTA_V2'] as const;
export const AGENT_CAPABILITIES = [
  'MULTI_ROLE',
  'HIERARCHICAL_ROLE',
  'RESERVATION_REFINEMENT',
  'RESOURCE_PROVIDER',
  'RESIZE_VOLUME',
  'AGENT_OPERATION_FEEDBACK',
  'AGENT_DRAINING',
  'TASK_RESOURCE_LIMITS',
] as const;
