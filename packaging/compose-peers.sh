#!/bin/sh
# Makes the three deployments of compose.yaml peers of each other. It may be run again.
set -eu

data=${DEPLOYMENTS:-/deployments} # a directory each, with the signing key
om_url=${OM_URL:-http://om:3000}
oa_url=${OA_URL:-http://oa:3000}
og_url=${OG_URL:-http://og:3000}

# as DEPLOYMENT TASK [ARGS]: run a task as that deployment.
as() {
  case $1 in
    om) url=$om_url database=$OM_DATABASE_URL ;;
    oa) url=$oa_url database=$OA_DATABASE_URL ;;
    og) url=$og_url database=$OG_DATABASE_URL ;;
  esac
  name=$1
  shift
  OLYMPUS_NAME=$name.example.com OLYMPUS_URL=$url DATABASE_URL=$database OLYMPUS_DATA_DIR=$data/$name olympus task "$@"
}

# key DEPLOYMENT: print its public key.
key() { as "$1" key:show | sed -n 's/^key  *\([^ ]*\)$/\1/p'; }

om_key=$(key om)
oa_key=$(key oa)
og_key=$(key og)

as om peers:add "$oa_url" "$oa_key"
as om peers:add "$og_url" "$og_key"
as oa peers:add "$om_url" "$om_key"
as oa peers:add "$og_url" "$og_key"
as og peers:add "$om_url" "$om_key"
as og peers:add "$oa_url" "$oa_key"
