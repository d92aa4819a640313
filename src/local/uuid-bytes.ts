/** The 16 bytes of a UUID in base64, as updates carry it. */
export function uuidToBase64(uuid: string): string {
  const bytes = uuid.replaceAll('-', '').match(/../g) ?? [];
  return btoa(String.fromCharCode(...bytes.map((byte) => Number.parseInt(byte, 16))));
}

/** Whether `text` is base64 of 16 bytes that name a version of UUID, which Mesos demands. */
export function isUuidBase64(text: string): boolean {
  if (!/^[A-Za-z0-9+/]{22}==$/.test(text)) return false;
  const version = (atob(text).charCodeAt(6) >> 4) & 0xf;
  return version >= 1 && version <= 5;
}
