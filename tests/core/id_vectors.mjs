// Computes schemas/id-vectors.json with Node's own crypto, apart from the product's code:
//   node tests/core/id_vectors.mjs > schemas/id-vectors.json
import { createHash } from "node:crypto";

const NAMESPACE = "1b5eb6ff-3e37-4091-bfeb-9304ea67c482";

const INPUTS = [
  ["user:1", "bank:account-0001", "RECEIPT", "ev-1", ["POSTED", "-1234"]],
  ["user:1", "bank:account-0001", "RECEIPT", "ev-1", ["PENDING", "-1234"]],
  ["user:1", "bank:account-0001", "RECEIPT", "auth-77", ["POSTED", "250000"]],
  ["user:2", "bank:account-0001", "RECEIPT", "ev-1", ["POSTED", "-1234"]],
  ["user:1", "bank:account-0002", "RECEIPT", "ev-1", ["POSTED", "-1234"]],
  ["user:1", "bank:account-0001", "REFUND", "auth-77", ["REVERSED", "-250000"]],
  ["user:1", "bank:account-0001", "DECLINED", "auth-78", ["DECLINED", "-999999999999999"]],
  ["user:1", "bank:account-0001", "RECEIPT", "zero", ["POSTED", "0"]],
  ["user:1", "bank:account-0001", "BALANCE", "balance-5", ["0"]],
  ["user:1", "bank:account-0001", "BALANCE", "balance-6", ["-50"]],
  ["user:1", "bank:account-0001", "SECURITY", "alert-9", []],
  ["user:1", "shop:customer-42", "SHIPPING", "1Z999AA10123456784", ["DELIVERED", "1709654640000"]],
  ["user:1", "shop:customer-42", "SHIPPING", "1Z999AA10123456784", ["PRE_TRANSIT", "0"]],
  ["user:1", "shop:customer-42", "SHIPPING", "1Z999AA10123456784", ["IN_TRANSIT", "2024-03-05"]],
  ["user:\u00e4\u00f6\u00fc", "bank:\u041a\u043e\u043d\u0442\u043e", "RECEIPT", "\u8a8d\u8a3c-1", ["POSTED", "-1"]],
  ["user:\ud83d\ude00", "bank:\ud83c\udfe6", "SECURITY", "\u2705", []],
  ["", "bank:account-0001", "RECEIPT", "ev-1", ["POSTED", "-1234"]],
];

function uuid5(text) {
  const namespace = Buffer.from(NAMESPACE.replaceAll("-", ""), "hex");
  const bytes = createHash("sha1").update(namespace).update(text, "utf8").digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x50;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const vectors = INPUTS.map(([recipient, subject, kind, business_key, revision]) => ({
  recipient,
  subject,
  kind,
  business_key,
  revision,
  notification_id: uuid5([recipient, subject, kind, business_key, ...revision].join("\x1f")),
}));

console.log(JSON.stringify({ namespace: NAMESPACE, vectors }, null, 1));
