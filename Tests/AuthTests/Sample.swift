import Auth
import Crypto
import Primitives
import Wire

/// One login in memory: values, entropy from a seed, and the bytes each side wrote.
struct Login {
    static let user: ByteString = "alice"
    static let password: ByteString = "pencil"
    static let instance = ("instance secret" as ByteString).withView { InstanceSecret($0) }

    var auth: ClientAuth
    var entropy: any Entropy = Random(seed: 7)
    var cache = ScramKeyCache(capacity: 8)

    init(
        _ method: ClientMethod, _ secret: Secret?, user: ByteString = Login.user,
        derivesForNobody: Bool = false, binding: ByteString? = nil
    ) {
        auth = ClientAuth(
            method: method, user: user, secret: secret, instance: Login.instance, iterations: 16,
            derivesForNobody: derivesForNobody, binding: binding)
    }

    /// The step, and the messages written, each as type byte, and body.
    mutating func begin() -> (ClientAuthStep, [Message]) {
        var buffer = ByteBuffer()
        let step = auth.begin(entropy: &entropy, into: &buffer)
        return (step, messages(buffer.view))
    }

    mutating func received(_ body: ByteString) -> (ClientAuthStep, [Message]) {
        var buffer = ByteBuffer()
        let step = body.withView {
            auth.received($0, entropy: &entropy, cache: &cache, into: &buffer)
        }
        return (step, messages(buffer.view))
    }
}

/// The same towards a server.
struct ServerLogin {
    var auth: ServerAuth
    var entropy: any Entropy = Random(seed: 8)
    var cache = ScramKeyCache(capacity: 8)

    init(_ credential: ServerCredential, user: ByteString = Login.user, binding: ByteString? = nil) {
        auth = ServerAuth(user: user, credential: credential, binding: binding)
    }

    mutating func received(_ body: ByteString) -> (ServerAuthStep, [Message]) {
        var buffer = ByteBuffer()
        let step = body.withView {
            auth.received($0, entropy: &entropy, cache: &cache, into: &buffer)
        }
        return (step, messages(buffer.view))
    }
}

struct Message: Equatable {
    var kind: UInt8
    var body: ByteString
}

func messages(_ view: ByteView) -> [Message] {
    var messages: [Message] = []
    var offset = 0
    while case .header(let header) = view.frame(at: offset, limitBytes: 1 << 20) {
        let body = view.slice(offset + FrameHeader.byteCount, header.messageBytes - FrameHeader.byteCount)
        messages.append(Message(kind: header.kind, body: ByteString(body)))
        offset += header.messageBytes
    }
    return messages
}

/// Every kind of secret there is, each of `Login.password`, and none.
enum SecretSample: CaseIterable {
    case plain, md5, scram, malformed, empty, unknown

    var secret: Secret? {
        switch self {
        case .plain: return Secret(Login.password)
        case .md5:
            let digits = Login.password.withView { p in Login.user.withView { MD5.hex(p, $0) } }
            return Secret(ByteString(Array("md5".utf8) + (digits ?? [])))
        case .scram: return Secret(SecretSample.verifier.text)
        case .malformed: return Secret("SCRAM-SHA-256$4096:c2FsdA==$short:short" as ByteString)
        case .empty: return Secret("" as ByteString)
        case .unknown: return nil
        }
    }

    static let verifier = Login.password.withView {
        ScramVerifier.derive(password: $0, salt: "0123456789abcdef", iterations: 16)
    }
}

extension ClientAuthStep {
    var isAccepted: Bool {
        if case .accepted = self { return true }
        return false
    }
    var isWaiting: Bool {
        if case .waiting = self { return true }
        return false
    }
    var keys: ScramKeys? {
        if case .accepted(let keys) = self { return keys }
        return nil
    }
    var failure: ClientAuthFailure? {
        if case .rejected(let failure) = self { return failure }
        return nil
    }
}

extension ServerAuthStep {
    var isAccepted: Bool {
        if case .accepted = self { return true }
        return false
    }
    var isReplied: Bool {
        if case .replied = self { return true }
        return false
    }
    var failure: ServerAuthFailure? {
        if case .failed(let failure) = self { return failure }
        return nil
    }
}

/// A body of an 'R' message.
func request(_ request: AuthenticationRequest, _ payload: ByteString = "") -> ByteString {
    var buffer = ByteBuffer()
    buffer.append(uint32: request.rawValue)
    buffer.append(payload)
    return ByteString(buffer.view)
}

/// A body of a SASLInitialResponse; `length` overrides the one field that can lie.
func saslInitial(
    _ response: ByteString, mechanism: ByteString = "SCRAM-SHA-256\0", length: UInt32? = nil
) -> ByteString {
    var buffer = ByteBuffer()
    buffer.append(mechanism)
    buffer.append(uint32: length ?? UInt32(response.count))
    buffer.append(response)
    return ByteString(buffer.view)
}

/// Lets both sides talk until one has decided.
func converse(
    _ client: inout Login, _ server: inout ServerLogin
) -> (client: ClientAuthStep, server: ServerAuthStep?, rounds: Int) {
    var (step, requests) = client.begin()
    var answer: ServerAuthStep?
    var rounds = 0
    while rounds < 10 {
        var replies: [Message] = []
        for request in requests {
            let (serverStep, written) = server.received(request.body)
            answer = serverStep
            if !serverStep.isReplied { return (step, serverStep, rounds) }
            replies += written
        }
        if step.isAccepted {
            return (step, server.received(request(.ok)).0, rounds)
        }
        guard step.isWaiting, let reply = replies.first else { break }
        rounds += 1
        (step, requests) = client.received(reply.body)
    }
    return (step, answer, rounds)
}
