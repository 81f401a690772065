# template: filled by `packaging/fill.sh packaging/homebrew/eks-bootstrap.rb VERSION SHA256SUMS` in the release workflow.
# template: Linted filled: `ruby -c`, rubocop 1.39 with its own rules. Not run: `brew style`, `brew audit`, `brew install`.
# frozen_string_literal: true

# Takes an existing Amazon EKS cluster from "created" to "load balancers and volumes work".
class EksBootstrap < Formula
  desc "Set up load balancers and volumes on an existing Amazon EKS cluster"
  homepage "https://github.com/eks-bootstrap/eks-bootstrap"
  version "@VERSION@"
  license "Apache-2.0"

  depends_on "helm"

  on_macos do
    on_arm do
      url "https://github.com/eks-bootstrap/eks-bootstrap/releases/download/v@VERSION@/eks-bootstrap-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256(aarch64-apple-darwin)@"
    end
    on_intel do
      url "https://github.com/eks-bootstrap/eks-bootstrap/releases/download/v@VERSION@/eks-bootstrap-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256(x86_64-apple-darwin)@"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/eks-bootstrap/eks-bootstrap/releases/download/v@VERSION@/eks-bootstrap-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256(aarch64-unknown-linux-musl)@"
    end
    on_intel do
      url "https://github.com/eks-bootstrap/eks-bootstrap/releases/download/v@VERSION@/eks-bootstrap-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256(x86_64-unknown-linux-musl)@"
    end
  end

  def install
    bin.install "eks-bootstrap"
    bash_completion.install "completions/eks-bootstrap.bash" => "eks-bootstrap"
    zsh_completion.install "completions/_eks-bootstrap"
    fish_completion.install "completions/eks-bootstrap.fish"
    man1.install "man/eks-bootstrap.1"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/eks-bootstrap --version")
    assert_match "kind: ClusterBootstrap", shell_output("#{bin}/eks-bootstrap config init")
  end
end
