import Auth
import Crypto
import Primitives

/// How the models ask for passwords, and what they answer. Everybody's password is "secret".
enum PasswordMethod: Int { case none, plain, md5, scram }

/// The one password in the forms that logins need; few iterations, so that runs stay fast.
struct Passwords {
    static let right = "secret"
    static let salt: ByteString = "salt of everybody"
    static let iterations = 4
    let keys: ScramKeys

    init() {
        keys = ByteString(Self.right).withView {
            ScramKeys.derive(password: $0, salt: Self.salt, iterations: Self.iterations)
        }
    }

    /// As auth_file and pg_authid have it.
    var verifier: ByteString {
        let stored = SHA256.hash(keys.clientKey)
        let text =
            Array("SCRAM-SHA-256$\(Self.iterations):".utf8) + Self.base64(Self.salt.bytes) + [0x24]
            + Self.base64(stored) + [0x3A] + Self.base64(keys.serverKey)
        return ByteString(text)
    }

    static func base64(_ bytes: Bytes) -> Bytes { ByteString(bytes).withView { Base64.encode($0) }.bytes }
    static func base64(_ digest: Digest256) -> Bytes { digest.withView { Base64.encode($0) }.bytes }

    /// Manual, "Password Authentication": the answer to an MD5 request.
    static func md5(_ password: String, user: String, salt: Bytes) -> Bytes {
        func hex(_ first: Bytes, _ second: Bytes) -> Bytes {
            ByteString(first).withView { first in
                ByteString(second).withView { MD5.hex(first, $0) }
            } ?? []
        }
        return Array("md5".utf8) + hex(hex(Array(password.utf8), Array(user.utf8)), salt)
    }
}

/// The model PostgreSQL's side of one login.
struct ServerExchange {
    /// What a hostile server does instead of asking properly. It proves nothing, so it must not be used.
    enum Evil: CaseIterable {
        // With any method.
        case unknownRequest, readyEarly, refuses, closes, silence, asksTwice
        // With SCRAM only.
        case okWithoutProof, wrongSignature, wrongNonce, manyIterations, unknownMechanism, finalFirst
        static let ofAnyMethod: [Evil] = [
            .unknownRequest, .readyEarly, .refuses, .closes, .silence, .asksTwice,
        ]
    }

    var method = PasswordMethod.none
    var evil: Evil?
    /// It has done its evil: it may be answered so many messages more.
    var answersLeft: Int?
    var salt = Bytes()
    /// Nothing has been answered yet.
    var isFirst: Bool { clientFirst.isEmpty }
    fileprivate var clientFirst = Bytes()
    fileprivate var serverFirst = Bytes()

    /// The first request.
    func ask(into out: inout Bytes) {
        switch method {
        case .none: break
        case .plain: out.message("R") { $0.append(uint32: 3) }
        case .md5:
            out.message("R") {
                $0.append(uint32: 5)
                $0.append(contentsOf: salt)
            }
        case .scram:
            out.message("R") {
                $0.append(uint32: 10)
                $0.append(cString: evil == .unknownMechanism ? "SCRAM-SHA-1" : "SCRAM-SHA-256")
                $0.append(0)
            }
        }
    }

    /// SASLInitialResponse. `false`: it is none.
    mutating func first(_ body: Bytes, nonce: Bytes, into out: inout Bytes) -> Bool {
        let mechanism = body.cString(at: 0)
        let length = Int(body.uint32(at: mechanism.next))
        let response = Array(body.dropFirst(mechanism.next + 4))
        guard mechanism.bytes.text == "SCRAM-SHA-256", length == response.count,
            response.starts(with: Array("n,,n=,r=".utf8))
        else { return false }
        clientFirst = Array(response.dropFirst(3))
        let theirs = evil == .wrongNonce ? Array("another".utf8) : Array(clientFirst.dropFirst(5))
        let count = evil == .manyIterations ? 99_999_999 : Passwords.iterations
        serverFirst = Array("r=".utf8) + theirs + nonce + Array(",s=".utf8)
        serverFirst += Passwords.base64(Passwords.salt.bytes) + Array(",i=\(count)".utf8)
        let text = serverFirst
        out.message("R") {
            $0.append(uint32: 11)
            $0.append(contentsOf: text)
        }
        return true
    }

    /// SASLResponse. `false`: it proves nothing.
    func final(_ body: Bytes, _ passwords: Passwords, into out: inout Bytes) -> Bool {
        guard let place = body.lastIndex(of: 0x2C) else { return false }
        let withoutProof = Array(body[..<place])
        let comma: Bytes = [0x2C]
        let message = ByteString(clientFirst + comma + serverFirst + comma + withoutProof)
        let stored = SHA256.hash(passwords.keys.clientKey)
        let proof = passwords.keys.clientKey.xor(SHA256.hmac(key: stored, message))
        guard body[place...].elementsEqual(Array(",p=".utf8) + Passwords.base64(proof)) else { return false }
        let key = evil == .wrongSignature ? stored : passwords.keys.serverKey
        let signature = SHA256.hmac(key: key, message)
        out.message("R") {
            $0.append(uint32: 12)
            $0.append(contentsOf: Array("v=".utf8) + Passwords.base64(signature))
        }
        return true
    }
}
