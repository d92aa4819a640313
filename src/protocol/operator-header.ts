/** Names who asks, as clients may: nobody checks it. */
export const OPERATOR_HEADER = 'x-etcd-mesos-operator';
