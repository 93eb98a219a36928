// What every room shares: a throw-away CA, and a kubeconfig for a server that is not there. Nothing here is a secret,
// and nothing outlives the run.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The client certificate lets rotateCertificates start; port 1 is closed, so kubelet works on without a cluster.
const kubeconfig = `apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1", certificate-authority-data: %[1]s}}]
users: [{name: lab, user: {client-certificate-data: %[1]s, client-key-data: %[2]s}}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
`

// What kubelet sets on a node, as it has been since 1.6.
var wantedSysctls = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

func furnish(lab string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "system:node:verdict", Organization: []string{"system:nodes"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(240 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
	for name, text := range map[string]string{
		"ca.crt":          string(cert),
		"kubelet.conf":    fmt.Sprintf(kubeconfig, base64.StdEncoding.EncodeToString(cert), base64.StdEncoding.EncodeToString(private)),
		"sysctl.unwanted": "0\n",
		"swaps":           "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
	} {
		if err := os.WriteFile(filepath.Join(lab, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for name, value := range wantedSysctls {
		if err := os.WriteFile(sysctlFile(lab, name), []byte(value+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func sysctlFile(lab, name string) string {
	return filepath.Join(lab, "sysctl."+strings.ReplaceAll(name, "/", "."))
}
